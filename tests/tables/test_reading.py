"""Texts in every encoding, and files without an end: each is read or refused by name, in time."""

import gzip
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from miacap.cli import application
from miacap.concepts.from_lists import _known
from miacap.concepts.lists import read_lists
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.data import NoPhotos, read
from miacap.errors import DataError
from miacap.files import read_json, read_json_lines
from miacap.metrics.files import read_candidates, read_references
from miacap.metrics.judgement_files import read_judgements
from miacap.runs.overview import overview
from miacap.tables import numbered_lines, read_text, text

CAPTIONS = "file_name,caption\na.jpg,Ein süßer Hund läuft.\n"
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


def read_as_judgements(path: Path) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        references = Path(folder) / "references.json"
        references.write_text('{"a.jpg": ["A dog."]}')
        return read_judgements(path, references)


READERS = {
    "score": read_references,
    "candidates": read_candidates,
    "data": lambda path: read(path, photos=NoPhotos()),
    "concepts": read_lists,
    "judgements": read_as_judgements,
    "json": read_json,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_reader_reads_every_encoding(tmp_path: Path, encoding: str, packed: bool) -> None:
    def write(content: str) -> Path:
        data = content.encode(encoding)
        path = tmp_path / "file"
        path.write_bytes(gzip.compress(data) if packed else data)
        return path

    path = write(CAPTIONS)
    assert read_text(path) == CAPTIONS
    assert read_references(path) == {"a.jpg": ["Ein süßer Hund läuft."]}
    assert read(path, photos=NoPhotos()).captions == {"a.jpg": ("Ein süßer Hund läuft.",)}
    assert read_lists(write('{"a": ["Tür"]}')).pictures["a"].words == ("tür",)
    judged = read_as_judgements(write("picture,caption,rating\na.jpg,Süß.,3\n"))
    assert judged.judgements[0].caption == "Süß."


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_devices_are_refused_by_name(reader: str, device: str) -> None:
    with pytest.raises(DataError, match=rf"{device}: (is a device|cannot be read)"):
        READERS[reader](Path(device))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a Unix matter")
@pytest.mark.parametrize("reader", READERS)
def test_a_named_pipe_that_nobody_writes_does_not_hang(reader: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="pipe: is a named pipe; name a file"):
        READERS[reader](pipe)


def test_a_pipe_that_the_shell_opened_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, CAPTIONS.encode())
    os.close(writing)
    try:
        assert read_references(f"/dev/fd/{reading}") == {"a.jpg": ["Ein süßer Hund läuft."]}
    finally:
        os.close(reading)


@pytest.mark.parametrize("reader", [name for name in READERS if name != "json"])
@pytest.mark.parametrize("piece", [b" ", b"a,", b'"', b"\n", b"[", b"\0"])
def test_gzip_that_unpacks_without_end_is_refused_in_time(
    reader: str, piece: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"file_name,caption\n" + piece * (2**26 // len(piece)), 9))
    start = time.process_time()
    with pytest.raises(DataError, match=r"bomb\.gz: holds more than 16,777,216 bytes, unpacked"):
        READERS[reader](path)
    assert time.process_time() - start < 2


def test_what_packs_well_but_is_small_is_read(tmp_path: Path) -> None:
    path = tmp_path / "same.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": 1, "caption": "a dog"}\n' * 100_000))
    assert read_references(path) == {"1": ["a dog"] * 100_000}


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with open(path, "wb") as file:
        file.truncate(2**31)
    start = time.process_time()
    with pytest.raises(DataError, match=r"large\.json: holds more than 1,073,741,824 bytes"):
        read_references(path)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name,caption\n" + "a," * 2**22, "line 2: a row of more than 4,194,304 characters"),
        ("file_name\tcaption\n" + "a\t" * 2**22, "line 2: a row of more than 4,194,304"),
        ('file_name,caption\n"' + "a\n" * 2**17, "line 2: a cell of more than 131,072 characters"),
        ("file_name,caption\n" + '"\n",' * 2**21, "line 2: a row of more than 4,194,304"),
        ("a.jpg#0\tx\nb.jpg#0\t" + "y" * 2**23, "line 2: a row of more than 4,194,304"),
        ('{"file_name": "a", "caption": "x"}\n{"b' + "y" * 2**23, "line 2: a row of more than"),
    ],
)
def test_endless_rows_are_refused_in_time(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "endless"
    path.write_text(content)
    for reader in ("score", "data"):
        start = time.process_time()
        with pytest.raises(DataError, match=message) as caught:
            READERS[reader](path)
        assert time.process_time() - start < 3
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("depth", [101, 500, 900, 995, 100_000])
@pytest.mark.parametrize(
    "form",
    [
        "%s",
        '{"a": %s}',
        '[{"id": 1, "caption": %s}]',
        '{"id": 1, "caption": %s}\n{"id": 2, "caption": "x"}',
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": %s}',
    ],
)
def test_deep_json_ends_in_a_short_sentence(depth: int, form: str, tmp_path: Path) -> None:
    path = tmp_path / "deep"
    path.write_text(form % ("[" * depth + "]" * depth))
    for reader in READERS.values():
        with pytest.raises(DataError) as caught:
            reader(path)
        assert len(str(caught.value)) < 600
    assert "nested more than 100 levels deep" in str(caught.value) or "Extra data" in str(
        caught.value
    )


def test_json_as_deep_as_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    for depth in (100, 101):
        path.write_text("[" * depth + "]" * depth)
        if depth == 100:
            assert read_json(path)
        else:
            with pytest.raises(DataError, match=r"deep\.json: cannot be read .nested more than"):
                read_json(path)


@pytest.mark.parametrize("digits", [301, 400, 4300, 100_000])
def test_numbers_of_many_digits_are_refused(digits: int, tmp_path: Path) -> None:
    path = tmp_path / "number"
    for content in ('{"id": %s, "caption": "x"}', '[{"image_id": 1, "caption": [%s]}]'):
        path.write_text(content % ("9" * digits))
        for reader in READERS.values():
            with pytest.raises(DataError, match=f"a number of {digits:,} digits; at most 300"):
                reader(path)
    path.write_text("9" * 300)
    assert float(read_json(path)) == pytest.approx(1e300)


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice"
    path.write_text('[{"image_id": 1, "caption": "x", "caption": "y"}]')
    for reader in ("score", "data", "json", "judgements", "concepts"):
        with pytest.raises(DataError, match="the key 'caption' occurs twice in one object"):
            READERS[reader](path)


@pytest.mark.parametrize("reader", ["score", "data", "judgements"])
def test_a_hundred_thousand_columns_give_a_few_lines(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "wide"
    names = [f"column{n}" for n in range(100_000)]
    path.write_text(",".join(names) + "\n" + ",".join("x" for _ in names) + "\n")
    start = time.process_time()
    with pytest.raises(DataError) as caught:
        READERS[reader](path)
    assert len(str(caught.value)) < 600
    assert time.process_time() - start < 3
    path.write_text(json.dumps([dict.fromkeys(names, "x")]))
    with pytest.raises(DataError) as caught:
        READERS[reader](path)
    assert len(str(caught.value)) < 600


def test_reading_takes_time_by_the_bytes(tmp_path: Path) -> None:
    """A long file of lines costs about as much a byte as a short one."""
    path = tmp_path / "lines"

    def seconds(rows: int) -> float:
        path.write_text("".join(f"{n}.jpg\ta dog runs\n" for n in range(rows)))
        times = []
        for _ in range(3):
            start = time.process_time()
            assert len(read_references(path)) == rows
            times.append(time.process_time() - start)
        return min(times) / rows

    assert seconds(40_000) < 4 * seconds(4_000)


def test_lines_keep_their_numbers() -> None:
    content = "a\r\n\n b \n\u2028c\x0bd\r"
    assert list(numbered_lines(content, "x")) == [(1, "a"), (3, " b "), (4, "\u2028c\x0bd")]
    assert text.first_line("\n\n a,b\r\nc") == "a,b"


@pytest.mark.parametrize("place", ["/dev/zero", "pipe", "endless"])
def test_tokenize_ends_on_what_has_no_end(place: str, tmp_path: Path) -> None:
    path = Path(place) if place.startswith("/") else tmp_path / place
    if place == "pipe":
        os.mkfifo(path)
    elif place == "endless":
        path.write_text("a dog\n" + "a " * 2**22)
    run = CliRunner().invoke(application.app, ["tokenize", str(path)])
    assert isinstance(run.exception, DataError)
    said = {"/dev/zero": "is a device", "pipe": "is a named pipe", "endless": "line 2: a row of"}
    assert said[place] in str(run.exception)


@pytest.mark.parametrize(
    "line", ['{"CIDEr-D": %s}' % ("9" * 400), '{"a": ' + "[" * 900 + "]" * 900 + "}", "pipe"]
)
def test_a_run_with_hostile_metrics_is_listed_as_damaged(line: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "settings.json").write_text('{"captioner": "nic", "source": "plain"}')
    (run / "weights.safetensors").write_bytes(b"")
    if line == "pipe":
        os.mkfifo(run / "metrics.jsonl")
    else:
        (run / "metrics.jsonl").write_text(line + "\n")
    found = overview(run)
    assert found.state == "damaged" and found.captioner == "nic"


def test_json_lines_of_our_own_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n{"a": \n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 4, column 7: not JSON"):
        read_json_lines(path)
    path.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert read_json_lines(path) == [{"a": 1}, {"a": 2}]


def test_ids_in_either_unicode_form_meet_in_lists_and_judgements(tmp_path: Path) -> None:
    composed, apart = "é.jpg", "e\u0301.jpg"
    path = tmp_path / "file"
    path.write_text(json.dumps({apart: ["dog"]}))
    (tmp_path / "x.csv").write_text(f"file,caption\n{composed},a dog\n")
    dataset = read(tmp_path / "x.csv", photos=NoPhotos())
    assert list(_known(read_lists(path), dataset)) == [composed]
    for known, given in ((composed, apart), (apart, composed)):
        (tmp_path / "tokens").write_text(f"{known}#0\ta dog runs\n{known}#1\ta cat\n")
        path.write_text(f"{given}\t{given}#1\t1\t2\t3\n")
        judged = read_judgements(path, tmp_path / "tokens")
        assert judged.judgements[0].caption == "a cat" and not judged.set_aside
        path.write_text(f"picture,caption,rating\n{given},a dog runs,3\n")
        assert read_judgements(path, tmp_path / "tokens").judgements[0].own


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_words_of_concepts_are_read_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("tür\nhund\n".encode(encoding))
    assert ConceptVocabulary.from_file(path).words == ("tür", "hund")
    with pytest.raises(DataError, match="/dev/zero: is a device"):
        ConceptVocabulary.from_file("/dev/zero")


def test_what_is_read_again_is_no_standard_input() -> None:
    """A run keeps the checksum of its data and of its lists, which a stream has only once."""
    with pytest.raises(DataError, match="-: there is no such file or folder"):
        read("-")
    with pytest.raises(DataError, match="from a file, not from standard input"):
        read_lists("-")


TOKENIZED = "ein süßer hund läuft\n\na 's dog\n"
LINES = "Ein süßer Hund läuft.\n\nA\u2028's dog"


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tokenize_reads_what_tables_read(
    encoding: str, packed: bool, end: str, tmp_path: Path
) -> None:
    content = (LINES + end).encode(encoding)
    content = gzip.compress(content) if packed else content
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    for result in (
        CliRunner().invoke(application.app, ["tokenize", str(path)]),
        CliRunner().invoke(application.app, ["tokenize", "-"], input=content),
    ):
        assert (result.exit_code, result.stdout) == (0, TOKENIZED)


def test_tokenize_gives_utf8_lines_as_they_come() -> None:
    """A stream that never ends gives its first lines."""
    read, write = os.pipe()
    with open(read, "rb") as file:
        os.write(write, "Ä\nb\n".encode())
        lines = text.read_lines(file, "x")
        assert [next(lines), next(lines)] == ["Ä", "b"]
        os.close(write)
        assert list(lines) == []


def test_tokenize_refuses_a_photo_and_an_endless_row(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for content, said in (
        (b"\x89PNG\r\n\x1a\n", "is a PNG photo, not a file of text"),
        (b"x" * (text.LONGEST_ROW + 1), "line 1: a row of more than 4,194,304 characters"),
        (("y\n" + "x" * (text.LONGEST_ROW + 1)).encode("utf-16"), "line 2: a row of more than"),
        ("y".encode("utf-16") + b"z", "begins as UTF-16 text"),
    ):
        path.write_bytes(content)
        with path.open("rb") as file, pytest.raises(DataError, match=said):
            list(text.read_lines(file, "x"))


def test_no_lines_of_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.touch()
    with path.open("rb") as file:
        assert list(text.read_lines(file, "x")) == []
