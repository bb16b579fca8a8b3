import io
import sys

import pytest

from miacap.progress import Progress


def test_progress_is_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("reading", total=3, unit="photos") as progress:
        progress.advance(2)
        progress.note("one was broken")
        progress.advance()
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()
    assert first == "one was broken"
    assert last.startswith("reading: 3 photos, ")


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("reading", quiet=True) as progress:
        progress.advance()
        progress.note("hidden")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_said_is_escaped_on_a_terminal_and_off_it(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    err = io.StringIO()
    monkeypatch.setattr(err, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr("rich.console.Console.is_terminal", False)  # no codes of rich's own
    with Progress("a\x9b[b]", total=2) as progress:
        progress.note("one\x1b[31m\ntwo")
        progress.advance()
    assert "one\\x1b[31m\\ntwo\n" in err.getvalue()
    assert "a\\x9b[b]" in err.getvalue() and "\x9b" not in err.getvalue()
