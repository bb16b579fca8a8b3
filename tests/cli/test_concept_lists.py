"""Concepts from a file of words, as a person uses them: read, train, evaluate, and what is not."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from miacap.cli import main
from miacap.data import read, scenes

TINY = tuple(
    part
    for pair in (
        "training.epochs=1", "training.threads=1", "sizes.width=32", "sizes.inner=64",
        "minimum_count=1", "beam=1", "sizes.rows=aligned",
    )
    for part in ("--set", pair)
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def miacap(*arguments: object) -> Done:
    """Run the command's own ``main`` in this process: a fresh one spends seconds on imports."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["miacap", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
        sys.exit(0)
    code = ended.value.code
    return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes with features, and lists of the kinds of things that each one truly shows."""
    root = tmp_path_factory.mktemp("lists")
    scenes.draw(root / "data", 40, seed=2)
    done = miacap(
        "features", root / "data", "-o", root / "f", "--backbone", "efficientnet-lite0", "-q"
    )
    assert done.returncode == 0, done.stderr
    lines = (root / "data" / "metadata.jsonl").read_text().splitlines()
    lists = {}
    for row in map(json.loads, lines):
        words = [word for thing in row["objects"] for word in (thing["kind"], thing["colour"])]
        lists[row["file_name"]] = words
    test = read(root / "data").split("test").ids
    del lists[test[0]]
    lists["nobody.png"] = ["dog"]
    text = json.dumps(lists, indent=1)
    (root / "mine.json").write_text(text)
    line = text[: text.index("nobody")].count("\n") + 1
    done = miacap(
        "concepts", "read", root / "mine.json", root / "data", "-o", root / "c", "-q",
        "--set", "minimum_count=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith(
        "concepts of mine.json, ranked by their order, for 39 pictures"
    )
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith("test")] == [
        ["test", "3", "1"]
    ]
    assert done.stderr.splitlines() == [
        "pictures without concepts: 1",
        f"  {root / 'mine.json'}: {test[0]!r} has no list",
        "lists of unknown pictures: 1",
        f"  {root / 'mine.json'}, line {line}: 'nobody.png' is no picture of data",
    ]
    done = miacap(
        "train", root / "data", "--features", root / "f", "--concepts", root / "c",
        "-o", root / "run", "-q", *TINY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{root / 'run'}: best on dev: BLEU-4")
    # Of 32 pictures nothing is learned, and some captions are cut: said even when quiet.
    assert [line.split(" ")[1] for line in done.stderr.splitlines()] == ["17", f"{root / 'run'}:"]
    return root


def test_evaluate_takes_the_folder(world: Path, tmp_path: Path) -> None:
    test = read(world / "data").split("test").ids
    rows, scores = tmp_path / "rows.jsonl", tmp_path / "scores.json"
    done = miacap(
        "evaluate", world / "run", world / "data", "--features", world / "f", "--split", "test",
        "--concepts", world / "c", "-q", "-o", rows, "--json", scores,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("3 photos of test: ")
    assert done.stderr == f"set aside: mine.json: {test[0]!r} has no list\n"
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["id"] for row in found] == list(test)
    assert set(found[0]) == {"id", "error"} and set(found[1]) >= {"id", "caption"}
    said = json.loads(scores.read_text())
    assert (said["photos"], said["set_aside"]) == (3, 1) and "CIDEr-D" in said


def test_without_the_folder_it_says_what_is_missing(world: Path) -> None:
    photo = next((world / "data").rglob("*.png"))
    for command in (
        ("evaluate", world / "run", world / "data", "--features", world / "f", "-q"),
        ("caption", photo, "--run", world / "run"),
        ("concepts", "show", photo, "--run", world / "run"),
    ):
        done = miacap(*command)
        assert done.returncode == 1 and done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert f"{world / 'run'}: its concepts were read from a file (mine.json), so there" in line
        assert "miacap evaluate --concepts FOLDER" in line and "miacap concepts train" in line


def test_lists_that_are_too_short_say_so_before_training(world: Path, tmp_path: Path) -> None:
    done = miacap(
        "train", world / "data", "--features", world / "f", "--concepts", world / "c",
        "-o", tmp_path / "run", "-q", *TINY[:-2],
    )  # fmt: skip
    assert done.returncode == 1 and "--set sizes.rows=aligned" in done.stderr
    assert "pictures list fewer caption words than regions" in done.stderr
    assert not (tmp_path / "run").exists()


def test_reproduce_takes_the_folder(world: Path, tmp_path: Path) -> None:
    done = miacap(
        "reproduce", "att-fcn-combined", world / "data", "--features", world / "f",
        "--concepts", world / "c", "-o", tmp_path / "run", "--small", "-q", *TINY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "best on dev: BLEU-4" in done.stdout
    assert json.loads((tmp_path / "run" / "concepts.json").read_text())["file"] == "mine.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"scene-000000.png": ["dog"],\n"scene', "bad.json, line 2, column 1: not JSON"),
        ('{"other.png": ["dog"]}', "not even its only picture is in data"),
        ('{"scene-000000.png": ["hund"]}', "not even its only word occurs 5 times"),
    ],
)
def test_files_that_do_not_fit(world: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    done = miacap("concepts", "read", tmp_path / "bad.json", world / "data", "-o", tmp_path / "c")
    assert done.returncode == 1 and message in done.stderr and done.stdout == ""
    assert not (tmp_path / "c").exists()


def test_help_fits_and_has_an_example() -> None:
    done = miacap("concepts", "read", "--help")
    assert "miacap concepts read image_concepts.json flickr8k -o concepts" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
