"""What a terminal would obey is shown instead, and JSON stays exact."""

import errno
import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap import terminal

# Seen, or needed by scripts and emoji, and harmless to the lines around them.
_KEPT = {0x200C, 0x200D, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}


def test_every_character_that_a_terminal_obeys_is_shown() -> None:
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if number in range(0x13439, 0x13440):  # controls since Unicode 15, which Python 3.12 knows
            continue
        obeyed = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        if obeyed and number not in _KEPT:
            assert terminal.escape(character).isascii(), hex(number)
            assert terminal.escape(character).startswith("\\"), hex(number)
        else:
            assert terminal.escape(character) == character, hex(number)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\x07", r"a\x1b[31mb\x07"),
        ("a\nb\tc\x7f\x9b1m", r"a\nb\tc\x7f\x9b1m"),
        ("\u202eb\U000e0041\udce9", r"\u202eb\U000e0041\udce9"),
        ("caf\u00e9 \u732b \u200d", "caf\u00e9 \u732b \u200d"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_how_it_is_shown(text: str, shown: str) -> None:
    assert terminal.escape(text) == shown.replace(r"\U", "\\U")


@given(st.recursive(st.text() | st.integers() | st.none(), lambda s: st.lists(s) | st.dictionaries(
    st.text(), s)))  # fmt: skip
def test_json_is_exact_and_shows_what_a_terminal_obeys(value: object) -> None:
    for indent in (None, 2):
        text = terminal.json_text(value, indent)
        assert json.loads(text) == value
        assert terminal.escape(text.replace("\n", "")) == text.replace("\n", "")
    assert "\n" not in terminal.json_text(value)


def test_json_keeps_characters_beyond_the_basic_plane() -> None:
    assert terminal.json_text("\U000e0041\U0001f600") == '"\\udb40\\udc41\U0001f600"'
    assert json.loads(terminal.json_text("\udce9\x9b")) == "\udce9\x9b"


def test_columns_and_lines(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.result("a\tb\nc", "d")
    terminal.results("one\ntwo\x1b")
    terminal.tell("x\ny")
    out, err = capsys.readouterr()
    assert out == "a\\tb\\nc\td\none\ntwo\\x1b\n" and err == "x\\ny\n"


def test_a_message_is_a_few_lines_long(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.tell("captions.csv: no column " + "c, " * 100_000 + "choose another file.")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("captions.csv: no column c, ") and line.endswith("choose another file.")
    assert "characters left out" in line and len(line) < 1_100
    terminal.tell("y" * 1_000)
    assert capsys.readouterr().err == "y" * 1_000 + "\n"


class Full(io.StringIO):
    """A stream on a full disk; the system names no file."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_output_that_fails_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    for way in (lambda: terminal.result("x"), lambda: terminal.results("x"), terminal.flush):
        with pytest.raises(OSError) as error:
            way()
        assert error.value.filename == terminal.OUTPUT
    monkeypatch.setattr(sys, "stderr", Full())
    with pytest.raises(OSError) as error:
        terminal.tell("x")
    assert error.value.filename == "standard error"
