"""The command line as a person uses it, on a small world."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from miacap.data import scenes


def miacap(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "miacap", *map(str, arguments)],
        capture_output=True,
        check=False,
        input=stdin,
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features, concepts and one run, all made by commands."""
    root = tmp_path_factory.mktemp("cli")
    scenes.draw(root / "data", 60, seed=1)
    commands = (
        ("features", root / "data", "-o", root / "f", "--backbone", "efficientnet-lite0", "-q"),
        ("concepts", "train", root / "data", "--features", root / "f", "-o", root / "c", "-q",
         "--set", "training.epochs=1"),
        ("train", root / "data", "--features", root / "f", "--concepts", root / "c",
         "--source", "combined", "-o", root / "runs" / "r", "-q", "--set", "training.epochs=1",
         "--set", "sizes.width=32", "--set", "sizes.inner=64", "--set", "minimum_count=1"),
    )  # fmt: skip
    for command in commands:
        done = miacap(*command)
        assert done.returncode == 0, done.stderr.decode()
        lines = done.stderr.decode().splitlines()  # so little teaches nothing, which is said
        assert all(line.startswith("warning: ") for line in lines), command
        assert done.stdout.strip(), command
    return root


def test_caption_prints_a_sentence(world: Path) -> None:
    photo = next((world / "data").rglob("*.png"))
    done = miacap("caption", photo, "--run", world / "runs" / "r")
    assert done.returncode == 0, done.stderr.decode()
    (line,) = done.stdout.decode().splitlines()
    assert line[0].isupper() and line.endswith(".")


def test_caption_as_json_lines_keeps_the_order_and_the_errors(world: Path) -> None:
    photos = sorted((world / "data").rglob("*.png"))[:2]
    none = world / "none.jpg"
    run = world / "runs" / "r"
    done = miacap("caption", photos[1], none, photos[0], "--run", run, "--format", "jsonl")
    assert done.returncode == 0
    rows = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [row["id"] for row in rows] == [str(photos[1]), str(none), str(photos[0])]
    assert set(rows[0]) == {"id", "caption", "log_probability"} and rows[0]["log_probability"] < 0
    assert set(rows[1]) == {"id", "error"}


def test_caption_exits_with_1_if_nothing_was_captioned(world: Path) -> None:
    done = miacap("caption", world / "none.jpg", "--run", world / "runs" / "r")
    assert done.returncode == 1 and b"there is no such photo" in done.stderr
    assert done.stdout == b""
    done = miacap("caption", "x.jpg", "--run", world / "data")
    assert done.returncode == 1 and b"no run folder" in done.stderr


def test_evaluate_writes_rows_and_scores(world: Path, tmp_path: Path) -> None:
    rows, scores = tmp_path / "rows.jsonl", tmp_path / "scores.json"
    done = miacap(
        "evaluate", world / "runs" / "r", world / "data", "--features", world / "f",
        "--split", "test", "-o", rows, "--json", scores, "-q",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    said = " ".join(done.stdout.decode().split())
    assert "that of one caption given to every photo (95 % interval" in said
    assert "that of its own captions given to other photos (95 % interval" in said
    assert "above 0: the captions" in said and max(map(len, done.stdout.splitlines()[:-1])) <= 80
    found = json.loads(scores.read_text())
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    assert found["photos"] == len(lines) and 0 <= found["CIDEr-D"] <= 10 and found["signature"]
    assert all(set(line) == {"id", "caption", "log_probability"} for line in lines)


@pytest.mark.slow
def test_evaluate_with_frequencies_of_another_split(world: Path, tmp_path: Path) -> None:
    def go(name: str, split: str, *more: object) -> dict[str, Any]:
        out = tmp_path / f"{name}.json"
        done = miacap(
            "evaluate", world / "runs" / "r", world / "data", "--features", world / "f",
            "--split", split, "--json", out, "-q", *more,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(out.read_text())

    df = tmp_path / "df.json"
    own = go("own", "dev", "--write-df", df)
    assert go("same", "dev", "--df", df)["CIDEr-D"] == own["CIDEr-D"]
    assert "df:data-dev/" in go("other", "test", "--df", df)["signature"]


def test_runs_lists_what_was_trained(world: Path) -> None:
    done = miacap("runs", world / "runs")
    assert done.returncode == 0 and b"spatial-attention" in done.stdout
    assert miacap("runs", world / "data").returncode == 1


def test_tokenize_takes_lines_and_gives_lines(tmp_path: Path) -> None:
    text = "The dog's ball, it's red.\n\na\u2028b\rc\n".encode()
    done = miacap("tokenize", "-", stdin=text)
    assert done.returncode == 0
    assert done.stdout.decode() == "the dog 's ball it 's red\n\na b c\n"
    (tmp_path / "lines.txt").write_bytes(text)
    kept = miacap("tokenize", tmp_path / "lines.txt", "--keep-punctuation")
    assert kept.stdout.decode().splitlines()[0] == "the dog 's ball , it 's red ."


def test_tokenize_names_the_line_of_a_wrong_encoding() -> None:
    done = miacap("tokenize", "-", stdin=b"fine\ncaf\xe9\n")
    assert done.returncode == 1
    assert b"standard input, line 2: byte 4 of the line (0xe9) is not UTF-8" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("features", "none", "-o", "f"), "none: there is no such file or folder"),
        (("features", "DATA", "-o", "f", "--device", "gpu"), "no device named 'gpu'; choose"),
        (("train", "DATA", "--features", "none", "-o", "r"), "none"),
        (
            ("train", "DATA", "--features", "F", "-o", "r", "--captioner", "nicc"),
            "Did you mean 'nic'?",
        ),
        (("train", "DATA", "--features", "F", "-o", "r", "--set", "bem=3"), "Did you mean 'beam'?"),
        (("train", "DATA", "--features", "F", "-o", "r", "--source", "combind"), "'combined'?"),
        (
            ("train", "DATA", "--features", "F", "-o", "r", "--concepts", "DATA"),
            "no concepts here; make them with",
        ),
        (("evaluate", "DATA", "DATA", "--features", "F"), "no run folder"),
        (("evaluate", "RUN", "DATA", "--features", "F", "--split", "tset"), "Did you mean 'test'?"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(
    world: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    names = {"DATA": world / "data", "F": world / "f", "RUN": world / "runs" / "r"}
    names |= {"r": tmp_path / "r", "none": tmp_path / "none"}
    done = miacap(*(names.get(a, a) for a in arguments))
    text = done.stderr.decode()
    assert done.returncode == 1 and message in text and "Traceback" not in text, text
    assert text.startswith("miacap: ") and not (tmp_path / "r").exists()


@pytest.mark.parametrize("verb", ["caption", "evaluate"])
def test_a_beam_has_a_hypothesis(verb: str) -> None:
    given = ("x.jpg", "--run", "r") if verb == "caption" else ("r", "x", "--features", "f")
    done = miacap(verb, *given, "--beam", "0")
    assert done.returncode == 2 and b"greater than or equal to 1" in done.stderr
