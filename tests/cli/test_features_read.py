"""Features that people already have, as a person uses them: read, train, evaluate, no photos."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from miacap import runs
from miacap.captioning.inputs import Inputs
from miacap.cli import main
from miacap.data import FeatureStore, readers

from ..data.written_features import WRITERS, Made, Written, pictures

NOUNS = ("dog", "cat", "bird", "horse", "boat", "tree")
TINY = tuple(
    part
    for pair in (
        "training.epochs=1", "training.threads=1", "training.warmup_steps=0", "sizes.width=8",
        "sizes.heads=2", "sizes.inner=12", "minimum_count=1", "beam=1",
    )
    for part in ("--set", pair)
)  # fmt: skip
FAST = ("bottom_up", "mmf", "meshed_memory")


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


def captions(folder: Path, made: Sequence[Made]) -> Path:
    """A file of captions of which not one photo is there."""
    splits = ("train",) * 24 + ("dev",) * 6 + ("test",) * 6
    path = folder / "captions.jsonl"
    with open(path, "w") as file:
        for number, (p, split) in enumerate(zip(made, splits, strict=True)):
            one, two = NOUNS[number % 6], NOUNS[(number + 1) % 6]
            row = {"file_name": f"{p.name}.jpg", "captions": [f"a {one} and a {two}", "the end"]}
            file.write(json.dumps(row | {"split": split}) + "\n")
    return path


def command(written: Written, data: Path, folder: Path) -> list[object]:
    beside = [part for name, path in written.beside.items() for part in (f"--{name}", path)]
    return ["features", "read", *written.files, data, "-o", folder, *beside, "-q"]


@pytest.mark.parametrize(
    "writer",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in WRITERS],
)
def test_the_whole_way(writer: str, tmp_path: Path) -> None:
    made = pictures(tuple(range(1, 37)))
    data = captions(tmp_path, made)
    written = WRITERS[writer](tmp_path, made)
    folder, run = tmp_path / "f", tmp_path / "r"
    done = miacap(*command(written, data, folder))
    boxes = "with boxes" if written.boxed else "without boxes"
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("36 pictures, regions of ") and boxes in done.stdout
    features = ("--features", folder)
    done = miacap("train", data, *features, "-o", run, "--source", "plain", *TINY, "-q")
    assert done.returncode == 0, done.stderr
    done = miacap("evaluate", run, data, *features, "--split", "test", "-q")
    assert done.returncode == 0 and done.stdout.startswith("6 photos of test"), done.stderr
    (tmp_path / "a.jpg").write_bytes(b"")
    done = miacap("caption", tmp_path / "a.jpg", "--run", run)
    assert done.returncode == 1 and "so this run cannot see photos" in done.stderr
    look(runs.load(run), FeatureStore.open(folder), written.boxed)


def look(run: runs.Run, store: FeatureStore, boxed: bool) -> None:
    """See where a run looks in a stored picture, with boxes to draw or without."""
    seen = Inputs.of_run(run, store, device="cpu").stored(store.names[:2])
    assert (seen.boxes is not None) == boxed
    module = run.captioner("cpu")
    _, trace = module(seen, torch.tensor([[[1, 4, 5]]] * 2), trace=True)
    (attention,) = trace.attentions.values()
    assert attention.weights.shape == (2, 1, 3, seen.regions.shape[1])
    assert torch.allclose(attention.weights.sum(-1), torch.ones(()))


def test_concepts_of_features_that_were_given(tmp_path: Path) -> None:
    made = pictures(tuple(range(1, 37)))
    data = captions(tmp_path, made)
    folder = tmp_path / "f"
    assert miacap(*command(WRITERS["bottom_up"](tmp_path, made), data, folder)).returncode == 0
    features, few = ("--features", folder), ("--set", "minimum_count=1")
    short = ("--set", "training.epochs=1", "--set", "training.threads=1", "-q")
    done = miacap("concepts", "train", data, *features, "-o", tmp_path / "c", *few, *short)
    assert done.returncode == 0, done.stderr
    assert "warning: 6 pictures of test have the very captions of pictures of train" in done.stderr
    lists = {f"{p.name}.jpg": [*NOUNS[n % 6 :], *NOUNS[: n % 6]] for n, p in enumerate(made)}
    (tmp_path / "lists.json").write_text(json.dumps(lists))
    read = ("concepts", "read", tmp_path / "lists.json", data, "-o", tmp_path / "l", *few, "-q")
    done = miacap(*read)
    assert done.returncode == 1 and "none of the 36 photos is in" in done.stderr
    assert miacap(*read, "--photos", "none").returncode == 0
    for concepts in ("c", "l"):
        run, given = tmp_path / f"run-{concepts}", ("--concepts", tmp_path / concepts)
        done = miacap("train", data, *features, *given, "-o", run, *TINY, "-q")
        assert done.returncode == 0, done.stderr
        more = given if concepts == "l" else ()
        done = miacap("evaluate", run, data, *features, "--split", "test", *more, "-q")
        assert done.returncode == 0, done.stderr
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    done = miacap("concepts", "show", tmp_path / "a.png", "--run", tmp_path / "run-c")
    assert done.returncode == 1 and "so this run cannot see photos" in done.stderr
    run = runs.load(tmp_path / "run-c")
    look(run, FeatureStore.open(folder), boxed=True)
    run = tmp_path / "reproduced"
    done = miacap("reproduce", "nic-plain", data, "--small", *features, "-o", run, *TINY[:6],
                  "--set", "minimum_count=1", "-q")  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_sizes_of_the_photos_themselves(tmp_path: Path) -> None:
    """By their headers, turned as they are shown; a photo that is broken has no size."""
    made = pictures(tuple(range(1, 37)))
    data = captions(tmp_path, made)
    written = WRITERS["cocobu"](tmp_path, made)
    (tmp_path / "photos").mkdir()
    for p in made:
        turned, notes = p.id % 2 == 0, Image.Exif()
        notes[0x0112] = 6
        image = Image.new("L", (p.height, p.width) if turned else (p.width, p.height))
        image.save(tmp_path / "photos" / f"{p.name}.jpg", **({"exif": notes} if turned else {}))
    broken = tmp_path / "photos" / f"{made[7].name}.jpg"
    broken.write_bytes(broken.read_bytes()[:30])
    (tmp_path / "photos" / f"{made[8].name}.jpg").unlink()
    command = ["features", "read", *written.files, data, "-o", tmp_path / "f", "-q"]
    with mock.patch("miacap.data.readers.read", wraps=readers.read) as reading:
        done = miacap(*command, "--photos", tmp_path / "photos")
    assert reading.call_count == 1
    assert done.returncode == 0 and "34 pictures, regions of 6 numbers, with b" in done.stdout
    for p in made[7:9]:
        name = f"{p.name}.jpg: {p.id}.npz"
        assert f"{name}: boxes are in pixels, and the photo's size is not known" in done.stderr
    store = FeatureStore.open(tmp_path / "f")
    for p in (*made[:7], *made[9:]):
        boxes = store.boxes(f"{p.name}.jpg")
        assert boxes is not None and abs(boxes.numpy() - p.relative).max() < 1e-6
    (tmp_path / "none").mkdir()
    done = miacap(*command, "--photos", tmp_path / "none")
    assert done.returncode == 1 and "none of the 36 photos is in" in done.stderr


def test_what_came_and_what_did_not_is_counted(tmp_path: Path) -> None:
    made = pictures(tuple(range(1, 37)))
    data = captions(tmp_path, made)
    more = pictures((100, 101))
    written = WRITERS["bottom_up"](tmp_path, [*made[2:30], *made[2:4], *more])
    text = written.files[0].read_text().splitlines()
    text[5] = text[5][:-7]
    written.files[0].write_text("\n".join(text))
    done = miacap(*command(written, data, tmp_path / "f"))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("27 pictures, regions of 6 numbers, with boxes, in ")
    assert lines[1:] == [
        "1 picture is set aside: its features cannot be used",
        "2 rows are of pictures that came before",
        "2 rows are of pictures that DATA does not have",
    ]
    first = ", ".join(f"{p.name}.jpg" for p in (*made[:2], made[30]))
    assert "set aside: COCO_val2014_000000000008.jpg: trainval.tsv, line 6: " in done.stderr
    assert f"8 pictures of DATA have no features: {first} and 5 more" in done.stderr
    # They are missed by name, and with what would bring them.
    features = ("--features", tmp_path / "f")
    done = miacap("train", data, *features, "-o", tmp_path / "r", "--source", "plain", *TINY, "-q")
    assert done.returncode == 1
    assert f"the first: '{made[0].name}.jpg'" in done.stderr
    assert "miacap features read FILE DATA --name trainval -o" in done.stderr
    assert "Extract them" not in done.stderr


def test_rows_that_may_be_of_several_pictures_are_counted(tmp_path: Path) -> None:
    data = tmp_path / "captions.jsonl"
    rows = ({"file_name": name, "caption": "a cat"} for name in ("a/0.jpg", "b/0.jpg", "1.jpg"))
    data.write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "npy").mkdir()
    for number in range(3):
        np.save(tmp_path / "npy" / f"{number}.npy", np.ones((2, 6), np.float32))
    done = miacap("features", "read", tmp_path / "npy", data, "-o", tmp_path / "f")
    assert done.returncode == 0 and done.stdout.splitlines()[1:] == [
        "1 row is of a picture that DATA does not have",
        "1 row is left out: it may be of one of several pictures of DATA",
    ]
    assert "left out: 0 may be a/0.jpg or b/0.jpg\n" in done.stderr


def test_the_verb_goes_on_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is called read, options before DATA, and the help of both."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "read").mkdir()
    done = miacap("features", "./read", "-o", "f")
    assert done.returncode == 1 and "read: no caption file here" in done.stderr
    done = miacap("features", "-q", "read", "-o", "f")  # the first argument alone counts
    assert done.returncode == 1 and "read: no caption file here" in done.stderr
    done = miacap("features", "read")
    assert done.returncode == 2
    assert "Usage: miacap features read [OPTIONS] FILE... DATA" in done.stderr
    assert "Further commands:\n  features read  Read features" in miacap("features", "-h").stdout
    assert miacap("features", "read", "--help").stdout.startswith("Usage: miacap features read")


def test_features_in_the_place_of_captions(tmp_path: Path) -> None:
    written = WRITERS["bottom_up"](tmp_path, pictures())
    done = miacap("features", "read", written.files[0], written.files[0], "-o", tmp_path / "f")
    assert done.returncode == 1 and "the last argument is DATA" in done.stderr
    assert not os.path.exists(tmp_path / "f")
