"""Names from data never reach a terminal as they are, whatever the verb, and forge no line."""

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap import captioning, explain, terminal, visual
from miacap import runs as runs_room
from miacap.captioning import Row
from miacap.cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="such file names are POSIX's")

CONTROLS = [*map(chr, range(1, 0x20)), "\x7f", *map(chr, range(0x80, 0xA0))]
CONTROLS += [*"\u200e\u2028\u2029\u202a\u202e\u2066\u2069\ufeff", "\udce9", "\U000e0041"]
HOSTILE = st.lists(st.sampled_from([*CONTROLS, *"ab [0m"]), min_size=1, max_size=12).map("".join)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


def miacap(*arguments: object) -> Done:
    """Run the command in this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["miacap", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", None),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    out.flush()
    code = ended.value.code
    assert isinstance(code, int)
    return Done(code, out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


class Pipeline:
    """Says what it is told of every photo."""

    def __init__(self, rows: list[Row]) -> None:
        self.given = rows

    def rows(self, photos: object, sharing: object = None) -> list[Row]:
        return self.given


def a_run_in(root: Path, text: str) -> Done:
    folder = root / "runs" / f"r{text}"
    folder.mkdir(parents=True)
    (folder / "vocabulary.json").write_text("[]")
    (folder / "settings.json").write_text(json.dumps({"captioner": text, "source": text}))
    return miacap("runs", root / "runs")


def no_runs_in(root: Path, text: str) -> Done:
    return miacap("runs", root / text)


def captions(*form: str) -> Callable[[Path, str], Done]:
    def probe(root: Path, text: str) -> Done:
        rows = [Row(text, f"A {text} runs.", -1.0), Row(f"b{text}", error=f"{text}: broken.")]
        with mock.patch.object(captioning, "load", lambda *_, **__: Pipeline(rows)):
            return miacap("caption", text, "b", "--run", root, *form)

    return probe


def an_empty_folder(root: Path, text: str) -> Done:
    (root / f"f{text}").mkdir()
    return miacap("caption", root / f"f{text}", "--run", root)


def heic_photos(root: Path, text: str) -> Done:
    (root / f"a{text}.heic").write_text("")
    return miacap("caption", root, "--run", root / "r")


def photos_without_captions(root: Path, text: str) -> Done:
    (root / f"d{text}").mkdir()
    (root / f"d{text}" / f"a{text}.png").write_text("")
    return miacap("features", root / f"d{text}", "-o", root / "f")


def no_such_run(root: Path, text: str) -> Done:
    return miacap("caption", "a.jpg", "--run", root / f"r{text}")


def concepts_of_a_photo(root: Path, text: str) -> Done:
    found = (explain.Concept(text, 0.5, 0.25, root / f"{text}.png"),)
    (root / "a.jpg").write_bytes(b"")
    with (
        mock.patch.object(explain, "show", lambda *_, **__: found),
        mock.patch.object(runs_room, "load", lambda *_: None),
        mock.patch.object(visual, "decode", lambda *_: None),
    ):
        return miacap("concepts", "show", root / "a.jpg", "--run", root)


def concepts_of_a_damaged_photo(root: Path, text: str) -> Done:
    return miacap("concepts", "show", root / f"a{text}.jpg", "--run", root)


def scores_of_odd_ids(root: Path, text: str) -> Done:
    (root / "r.json").write_text(json.dumps({f"r{text}": ["a dog"], "b": [f"a {text} dog"]}))
    (root / "c.json").write_text(json.dumps({"b": f"a {text} dog", f"c{text}": "a cat"}))
    return miacap("score", root / "r.json", root / "c.json", "-m", "BLEU-1", "--resamples", 0)


def scores_of_an_odd_file(root: Path, text: str) -> Done:
    return miacap("score", root / f"r{text}.json", root / "c.json", "-m", "BLEU-1")


def scores_with_odd_frequencies(root: Path, text: str) -> Done:
    (root / "r.json").write_text(json.dumps({"a": ["a dog runs"], "b": ["a cat"]}))
    (root / "c.json").write_text(json.dumps({"a": "a dog", "b": "the cat"}))
    told = {"format": 1, "name": f"n{text}", "pictures": 9, "counts": {"a": 2}}
    (root / "df.json").write_text(json.dumps(told))
    return miacap(
        "score", root / "r.json", root / "c.json", "-m", "CIDEr-D", "--df", root / "df.json"
    )


def an_odd_metric(root: Path, text: str) -> Done:
    (root / "r.json").write_text(json.dumps({"a": ["a dog runs"], "b": ["a cat"]}))
    (root / "c.json").write_text(json.dumps({"a": "a dog", "b": "the cat"}))
    return miacap("score", root / "r.json", root / "c.json", "-m", f"B{text}")


def ratings(root: Path, text: str) -> Done:
    row = {"picture": f"p{text}", "caption": f"a {text} dog", "ratings": [1, 2, 3]}
    (root / "ratings.json").write_text(json.dumps([row, {**row, "ratings": text}]))
    (root / "r.json").write_text(json.dumps({"q": ["a dog"]}))
    return miacap("judge", root / "ratings.json", "--references", root / "r.json")


def words_of_an_odd_file(root: Path, text: str) -> Done:
    return miacap("tokenize", root / f"t{text}")


def words(root: Path, text: str) -> Done:
    (root / "t").write_bytes(text.replace("\n", "").encode("utf-8", "replace") + b" dog\n")
    return miacap("tokenize", root / "t")


def a_dataset(root: Path, text: str) -> Path:
    """A folder whose captions lack their photos: everything is set aside, by name."""
    data = root / f"d{text}"
    data.mkdir()
    row = {"file_name": f"p{text}.png", "captions": [f"a {text} dog"]}
    (data / "metadata.jsonl").write_text(json.dumps(row))
    return data


def features_of_odd_data(root: Path, text: str) -> Done:
    return miacap("features", a_dataset(root, text), "-o", root / "f", "-q")


def training_on_odd_data(root: Path, text: str) -> Done:
    data = a_dataset(root, text)
    return miacap("train", data, "--features", root / f"f{text}", "-o", root / "r", "-q")


def an_odd_setting(root: Path, text: str) -> Done:
    return miacap("train", "d", "--features", "f", "-o", "r", "--set", f"s{text}={text}")


def concepts_on_odd_data(root: Path, text: str) -> Done:
    data = a_dataset(root, text)
    return miacap("concepts", "train", data, "--features", root / "f", "-o", root / "c", "-q")


def lists_of_odd_words(root: Path, text: str) -> Done:
    data = a_dataset(root, text)
    (root / "l.json").write_text(json.dumps({f"p{text}.png": [text]}))
    return miacap("concepts", "read", root / "l.json", data, "-o", root / "c", "-q")


def evaluating_odd_folders(root: Path, text: str) -> Done:
    return miacap("evaluate", root / f"r{text}", root / f"d{text}", "--features", root / f"f{text}")


def an_odd_recipe(root: Path, text: str) -> Done:
    return miacap("reproduce", f"nic{text}")


def an_odd_place_for_the_demo(root: Path, text: str) -> Done:
    (root / f"o{text}").write_text("a file")
    return miacap("demo", "-o", root / f"o{text}", "-q")


def an_odd_option(root: Path, text: str) -> Done:
    return miacap("score", f"--r{text}", "a", "b")


def an_odd_value(root: Path, text: str) -> Done:
    return miacap("score", "a", "b", "--resamples", text)


def an_odd_verb(root: Path, text: str) -> Done:
    return miacap(f"v{text}")


PROBES = [
    a_run_in, no_runs_in, captions(), captions("--format", "jsonl"),
    captions("--format", "csv"), captions("--format", "coco"), captions("-o", os.devnull),
    heic_photos, photos_without_captions, an_empty_folder, no_such_run,
    concepts_of_a_photo, concepts_of_a_damaged_photo, scores_of_odd_ids, scores_of_an_odd_file,
    scores_with_odd_frequencies, an_odd_metric, ratings, words_of_an_odd_file, words,
    features_of_odd_data, training_on_odd_data, an_odd_setting, concepts_on_odd_data,
    lists_of_odd_words, evaluating_odd_folders, an_odd_recipe, an_odd_place_for_the_demo,
    an_odd_option, an_odd_value, an_odd_verb,
]  # fmt: skip


def seen(probe: Callable[[Path, str], Done], text: str) -> Done:
    with tempfile.TemporaryDirectory() as folder:
        return probe(Path(folder), text)


@pytest.mark.parametrize("number", range(len(PROBES)), ids=[p.__name__ for p in PROBES])
def test_nothing_that_a_terminal_obeys_is_printed(number: int) -> None:
    probe = PROBES[number]
    benign = seen(probe, "x")
    assert "Traceback" not in benign.err

    @settings(max_examples=12, deadline=None)
    @given(HOSTILE)
    def hostile(text: str) -> None:
        done = seen(probe, text)
        printed = done.out + done.err
        raw = set(printed) & set(CONTROLS) - {"\n", "\t"}
        assert not raw, f"{raw!r} in {printed!r}"
        assert "Traceback" not in done.err
        if shape(printed) != shape(benign.out + benign.err):  # a long cell has a line of its own
            alike = seen(probe, "x" * len(terminal.escape(text)))
            assert shape(printed) == shape(alike.out + alike.err), printed

    hostile()


def shape(printed: str) -> tuple[int, int]:
    """Give the numbers of lines and columns, which what is named may not change."""
    return printed.count("\n"), printed.count("\t")


def test_a_newline_in_a_name_forges_no_caption() -> None:
    done = seen(captions(), "a.jpg\nvictim.jpg\tA forged caption.\n")
    assert len(done.out.splitlines()) == 1 and done.out.count("\t") == 1
    rows = seen(captions("--format", "jsonl"), "a\n\x9b").out.splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["a\n\x9b", "ba\n\x9b"]
    assert all(terminal.escape(row) == row for row in rows)
