"""What an older miacap could have made, it can read: nothing is written that it cannot know."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from miacap import runs
from miacap.concepts import ConceptSource
from miacap.data import Manifest, Preprocessing
from miacap.data.detectors import Description, DetectorInput, YoloxOutputs
from miacap.data.features import Detector, parse
from miacap.data.later import LATER, written
from miacap.runs import RunSettings, create
from miacap.settings import to_json
from miacap.text import Vocabulary
from miacap.visual.tuned import Tuning

RECORD = Preprocessing("efficientnet-lite0", "ab" * 32)
ASKED = replace(RECORD, flips=True, precision="bfloat16")

OLDER = {
    "kind", "backbone", "weights_sha256", "size", "resize", "interpolation", "mean", "std",
    "colour", "alpha", "exif", "grid",
}  # fmt: skip
"""The settings of a record before there was a precision."""


def _store(record: Preprocessing, folder: Path) -> Any:
    manifest = Manifest("regions", record, 4, None, None, "test")
    manifest.write(folder)
    assert Manifest.read(folder) == manifest
    told = json.loads((folder / "manifest.json").read_text())
    assert {*to_json(manifest)} <= {*told}
    return told["preprocessing"]


def _tuned(record: Preprocessing, folder: Path) -> Any:
    tuning = Tuning(record, "cd" * 32, "flickr8k", (), 2, 3, "test")
    tuning.save(folder)
    assert Tuning.of(folder) == tuning
    told = json.loads((folder / "backbone.json").read_text())
    assert {*told} == {*to_json(tuning)}
    return told["preprocessing"]


def _concepts(record: Preprocessing, folder: Path) -> Any:
    source = ConceptSource(("cat", "dog"), "zero-shot", "ef" * 32, model=record)
    source.save(folder)
    assert ConceptSource.of(folder) == source
    return json.loads((folder / "concepts.json").read_text())["model"]


def _run(record: Preprocessing, folder: Path) -> Any:
    settings = RunSettings("nic", "plain", {"width": 8}, region_width=6)
    create(folder / "run", settings, Vocabulary(["a", "dog"]), record, ())
    assert runs.load(folder / "run").preprocessing == record
    return json.loads((folder / "run" / "preprocessing.json").read_text())


@pytest.mark.parametrize("write", [_store, _tuned, _concepts, _run])
def test_what_nobody_asked_for_is_not_written(
    write: Callable[[Preprocessing, Path], Any], tmp_path: Path
) -> None:
    assert {*write(RECORD, tmp_path)} == OLDER


@pytest.mark.parametrize("write", [_store, _tuned, _concepts, _run])
def test_what_was_asked_for_is_written(
    write: Callable[[Preprocessing, Path], Any], tmp_path: Path
) -> None:
    told = write(ASKED, tmp_path)
    assert {*told} == OLDER | {*LATER}
    assert told["flips"] is True and told["precision"] == "bfloat16"


def test_what_came_later_is_as_it_is_where_nobody_asks() -> None:
    usual = to_json(RECORD)
    assert usual == {**{name: usual[name] for name in OLDER}, **LATER}


def test_records_within_records_are_written_alike() -> None:
    cats = Description("cats", DetectorInput(64, 64), YoloxOutputs("out"), ("cat", "dog"))
    for pooling, names in ((RECORD, OLDER), (replace(RECORD, flips=True), OLDER | {"flips"})):
        record = Detector("cd" * 32, cats, pooling)
        told = json.loads(json.dumps(written(record)))
        assert {*told["pooling"]} == names and {*told} == {*to_json(record)}
        assert parse(told, "f") == record
