"""Parses on disk: the same tuples, whatever happens to the file."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miacap.metrics.spice import Spice
from miacap.metrics.spice.parsing import CaptionParser, kept
from miacap.metrics.spice.parsing.kept import KeptParses

PARSES: dict[str, list[tuple[str, ...]]] = {
    "a red dog": [("dog", "red"), ("dog",)],
    "": [],
    "a \ud800 dog": [("dog",)],
    "a man on a horse": [("man", "horse", "on"), ("man",), ("horse",)],
}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def parses(tmp_path: Path, said: list[str]) -> KeptParses:
    return KeptParses(tmp_path / "cache", "parser 1", said.append)


def file_of(parses: KeptParses) -> Path:
    return parses._path


def edit(parses: KeptParses, *statements: str) -> None:
    base = sqlite3.connect(file_of(parses))
    for statement in statements:
        base.execute(statement)
    base.commit()
    base.close()


def test_what_is_kept_is_found(parses: KeptParses, said: list[str]) -> None:
    assert parses.find(list(PARSES)) == {}
    parses.keep(PARSES)
    assert parses.find(["a cat", *PARSES]) == PARSES
    assert said == []


def test_another_parser_finds_nothing(parses: KeptParses, said: list[str]) -> None:
    parses.keep(PARSES)
    other = KeptParses(file_of(parses).parent, "parser 2", said.append)
    assert other.find(list(PARSES)) == {}
    other.keep({"a red dog": [("dog",)]})
    assert other.find(["a red dog"]) == {"a red dog": [("dog",)]}
    assert parses.find(["a red dog"]) == {"a red dog": PARSES["a red dog"]}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE parses SET value = x'5b5d' WHERE id = 1",
        "UPDATE parses SET value = 'text' WHERE id = 1",
        "UPDATE parses SET digest = NULL WHERE id = 1",
        "UPDATE parses SET value = zeroblob(100000) WHERE id = 1",
        "UPDATE parses SET value = CAST(x'ff00ff' AS TEXT) WHERE id = 1",
        "UPDATE parses SET digest = CAST(x'ffff' AS TEXT) WHERE id = 1",
        "UPDATE parses SET digest = zeroblob(100000) WHERE id = 1",
        "UPDATE parses SET key = (SELECT key FROM parses WHERE id = 2) || x'00' WHERE id = 1",
    ],
)
def test_a_damaged_row_is_parsed_again(parses: KeptParses, said: list[str], statement: str) -> None:
    parses.keep(PARSES)
    edit(parses, statement)
    rest = {caption: tuples for caption, tuples in PARSES.items() if caption != "a red dog"}
    assert parses.find(list(PARSES)) == rest
    lost = "SET key" in statement  # nobody asks for such a row
    assert len(said) == (0 if lost else 1) and all("damaged rows" in what for what in said)
    parses.keep({"a red dog": PARSES["a red dog"]})
    assert parses.find(list(PARSES)) == PARSES


@pytest.mark.parametrize(("column", "place"), [("value", 1), ("digest", 2)])
@pytest.mark.parametrize("content", ["zeroblob(100000)", "CAST(zeroblob(100000) AS TEXT)"])
def test_what_is_too_long_is_not_fetched(
    parses: KeptParses, column: str, place: int, content: str
) -> None:
    """A text counts up to its first NUL in SQLite, here as 0."""
    parses.keep(PARSES)
    edit(parses, f"UPDATE parses SET {column} = {content} WHERE id = 1")
    base = sqlite3.connect(file_of(parses))
    asked = [kept._LONGEST, parses._key("a red dog")]
    [row] = base.execute(kept._question(1), asked).fetchall()
    base.close()
    assert row[place] is None and row[3 - place] is not None


@pytest.mark.parametrize("value", [b"[[]]", b"[[1]]", b"{}", b'[["a","b","c","d"]]', b"[" * 9_000])
def test_what_no_parse_says_counts_as_absent(parses: KeptParses, value: bytes) -> None:
    """Under a right checksum too."""
    assert kept._read(b"key", value, kept._digest(b"key", value)) is None


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON parses BEGIN DELETE FROM parses; END",
        "CREATE VIEW other AS SELECT 1",
        "ALTER TABLE parses ADD COLUMN more",
        "DROP TABLE parses",
    ],
)
def test_a_file_with_another_schema_is_made_anew(
    parses: KeptParses, said: list[str], statement: str
) -> None:
    parses.keep(PARSES)
    edit(parses, statement, "CREATE TABLE IF NOT EXISTS stranger (a)")
    assert parses.find(list(PARSES)) == {}
    assert len(said) == 1 and "made anew" in said[0]
    parses.keep(PARSES)
    assert parses.find(list(PARSES)) == PARSES


def test_a_message_that_quotes_damage_is_damage(parses: KeptParses, said: list[str]) -> None:
    """SQLite quotes a schema that it cannot read, and Python cannot read the quotation."""
    parses.keep(PARSES)
    content = bytearray(file_of(parses).read_bytes())
    content[18] ^= 1
    content[3997] ^= 128
    file_of(parses).write_bytes(content)
    assert parses.find(list(PARSES)) == {}
    assert len(said) == 1 and "is damaged or none of ours" in said[0]
    parses.keep(PARSES)
    assert parses.find(list(PARSES)) == PARSES


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_damage_of_the_file_gives_wrong_tuples(parses: KeptParses, data: st.DataObject) -> None:
    file_of(parses).unlink(missing_ok=True)
    parses.keep(PARSES)
    content = bytearray(file_of(parses).read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    for index in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=20)):
        content[index] ^= data.draw(st.integers(1, 255))
    file_of(parses).write_bytes(content[:cut] if data.draw(st.booleans()) else content)
    for _ in range(2):
        found = parses.find(list(PARSES))
        assert all(PARSES[caption] == tuples for caption, tuples in found.items())
        parses.keep(PARSES)


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_file_is_left_alone(
    parses: KeptParses, said: list[str], tmp_path: Path, kind: str
) -> None:
    path = file_of(parses)
    path.parent.mkdir()
    target = tmp_path / "mine.txt"
    target.write_text("mine")
    make: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to(target),
        "folder": path.mkdir,
    }
    make[kind]()
    assert parses.find(list(PARSES)) == {}
    parses.keep(PARSES)
    assert len(said) == 1 and "cannot be used" in said[0]
    assert target.read_text() == "mine"


def test_a_folder_that_takes_no_file_costs_time_alone(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").write_text("")
    parses = KeptParses(tmp_path / "file" / "cache", "parser 1", said.append)
    parses.keep(PARSES)
    assert parses.find(list(PARSES)) == {}
    assert len(said) == 1


def test_the_oldest_go_where_the_file_is_full(tmp_path: Path, said: list[str]) -> None:
    bound = 200_000
    parses = KeptParses(tmp_path, "parser 1", said.append, bound)
    captions = [f"caption {n} {'x' * 50}" for n in range(4_000)]
    for start in range(0, len(captions), 100):
        parses.keep({c: [(c,)] for c in captions[start : start + 100]})
        assert file_of(parses).stat().st_size <= bound + 20_000
    found = parses.find(captions)
    assert captions[-1] in found and captions[0] not in found
    assert set(found) == set(captions[-len(found) :]) and len(found) > 300
    assert said == []


@pytest.mark.parametrize("error", [PermissionError("no"), OSError(36, "File name too long")])
def test_a_file_that_cannot_be_looked_at_costs_time_alone(
    parses: KeptParses, said: list[str], monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    parses.keep(PARSES)

    def refuse(path: Path) -> object:
        raise error

    monkeypatch.setattr(Path, "lstat", refuse)
    assert parses.find(list(PARSES)) == {}
    parses.keep(PARSES)
    assert len(said) == 1 and "cannot be used" in said[0]


def test_a_name_that_is_too_long_costs_time_alone(tmp_path: Path, said: list[str]) -> None:
    parses = KeptParses(tmp_path / ("x" * 300), "parser 1", said.append)
    assert parses.find(list(PARSES)) == {}
    parses.keep(PARSES)
    assert len(said) == 1 and "too long" in said[0]


def test_a_python_without_sqlite_parses_each_time(
    parses: KeptParses, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parses.keep(PARSES)
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    assert parses.find(list(PARSES)) == {}
    parses.keep(PARSES)
    assert len(said) == 1 and "sqlite3" in said[0]


def test_spice_is_there_without_sqlite() -> None:
    program = "import sys; sys.modules['sqlite3'] = None; import miacap.metrics.spice.parsing"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_rules_without_source_keep_nothing(
    spice: Spice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MIACAP_CACHE", str(tmp_path))
    monkeypatch.setattr(kept, "rules", lambda: kept._digest_of.__wrapped__(tmp_path / "packed"))
    parsed = CaptionParser(on_disk=True).parse(["a red dog"])
    assert parsed == CaptionParser(on_disk=False).parse(["a red dog"])
    assert not list(tmp_path.iterdir())
    assert "its files cannot be read" in capsys.readouterr().err


def test_errors_that_are_not_the_files_are_not_hidden(
    parses: KeptParses, monkeypatch: pytest.MonkeyPatch
) -> None:
    parses.keep(PARSES)
    monkeypatch.setattr(kept, "_read", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        parses.find(list(PARSES))


def test_a_locked_file_is_waited_for_and_left(
    parses: KeptParses, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_WAIT_SECONDS", 0.05)
    parses.keep(PARSES)
    base = sqlite3.connect(file_of(parses), isolation_level=None)
    base.execute("BEGIN EXCLUSIVE")
    assert parses.find(list(PARSES)) == {}
    parses.keep({"a cat": [("cat",)]})
    base.close()
    assert len(said) == 1 and "locked" in said[0]
    assert parses.find(["a cat", *PARSES]) == PARSES


def test_a_full_file_keeps_what_it_had(
    parses: KeptParses, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk without room, by SQLite's own bound."""
    parses.keep(PARSES)
    real = sqlite3.connect

    def small(*arguments: object, **more: object) -> sqlite3.Connection:
        base = real(*arguments, **more)  # type: ignore[call-overload]
        base.execute("PRAGMA max_page_count = 5")
        return base  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", small)
    parses.keep({f"caption {n}": [("x" * 90,)] for n in range(500)})
    assert len(said) == 1 and "full" in said[0]
    assert parses.find(list(PARSES)) == PARSES


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_only_be_read_is_read(parses: KeptParses, said: list[str]) -> None:
    parses.keep(PARSES)
    file_of(parses).chmod(0o400)
    file_of(parses).parent.chmod(0o500)
    assert parses.find(list(PARSES)) == PARSES
    parses.keep({"a cat": [("cat",)]})
    file_of(parses).parent.chmod(0o700)
    assert len(said) == 1 and "readonly" in said[0]


KEEP_MANY = """
import sys
from pathlib import Path
from miacap.metrics.spice.parsing.kept import KeptParses

parses = KeptParses(Path(sys.argv[1]), "parser 1", print)
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 200):
    parses.keep({str(number): [(str(number),)]})
"""


def test_two_processes_keep_at_once(tmp_path: Path, said: list[str]) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", KEEP_MANY, str(tmp_path), first])
        for first in ("0", "200")
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    found = KeptParses(tmp_path, "parser 1", said.append).find([str(n) for n in range(400)])
    assert found == {str(n): [(str(n),)] for n in range(400)}
    assert said == []
