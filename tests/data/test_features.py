"""How features were made: three kinds of records, read once, compared once."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from miacap.data.detectors import BoxOutputs, Description, DetectorInput, YoloxOutputs
from miacap.data.features import (
    BoxHead,
    Detector,
    Given,
    Preprocessing,
    Record,
    differences,
    parse,
    require_same,
)
from miacap.data.manifest import Manifest
from miacap.errors import RunError, SettingsError
from miacap.settings import to_json

HOW = Preprocessing("efficientnet-lite2", "ab" * 32)
CATS = Description("cats", DetectorInput(64, 64), YoloxOutputs("out"), ("cat", "dog"))
BOXES = Detector("cd" * 32, CATS, HOW)
HEAD = BoxHead("torchvision:fasterrcnn", "ef" * 32)
KINDS: tuple[Record, ...] = (HOW, BOXES, Given("mine", "a friend"), HEAD)


@pytest.mark.parametrize("record", KINDS, ids=["grid", "detector", "given", "box-head"])
def test_each_kind_travels_as_json(record: Record, tmp_path: Path) -> None:
    saved = json.loads(json.dumps(to_json(record)))
    assert next(iter(saved)) == "kind"
    assert parse(saved, "f") == record
    manifest = Manifest("regions", record, 4, None, None, "test")
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest


def test_what_was_written_without_a_kind_is_a_grid(tmp_path: Path) -> None:
    old = to_json(HOW)
    del old["kind"]
    assert parse(old, "preprocessing.json") == HOW
    said = {
        "kind": "regions", "preprocessing": old, "width": 4, "words": None, "extractor": None,
        "made_by": "miacap 0.1.0", "format": 1,
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(said))
    assert Manifest.read(tmp_path).preprocessing == HOW


def test_lists_of_concepts_written_before_are_given() -> None:
    old = {"concepts": "lists", "file_sha256": "12" * 32}
    assert parse(old, "f") == Given("lists", "file of SHA-256 " + "12" * 32)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"kind": "gird"},
            "kind is one of grid, detector, box-head, given, not 'gird'. Did you mean 'grid'?",
        ),
        ({"kind": "given"}, "missing: 'name'"),
        ({"kind": "given", "name": " "}, "given features need a name"),
        ({"kind": "grid", "name": "mine"}, "unknown setting 'name'"),
        ("grid", "got 'grid'"),
        ({**to_json(KINDS[1]), "threshold": 2}, "threshold is 0 to 1, not 2.0"),
        ({**to_json(KINDS[1]), "boxes": 0}, "boxes is 1 to 1000, not 0"),
        ({**to_json(KINDS[1]), "fewest": 37}, "fewest is 1 to the number of boxes (36), not 37"),
        ({**to_json(KINDS[1]), "samples": 0}, "samples is 1 to 64, not 0"),
        ({**to_json(HEAD), "fewest": 0}, "fewest is 1 to the number of boxes (36), not 0"),
        ({**to_json(HEAD), "size": [800, 9999]}, "size is 32 to 4096 pixels, not (800, 9999)"),
        ({**to_json(KINDS[1]), "rows": "grid"}, "rows is one of boxes, grid+boxes, not 'grid'"),
    ],
)
def test_damaged_records_are_named(value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=r"^preprocessing\.json") as e:
        parse(value, "preprocessing.json")
    assert message in str(e.value)


def test_features_made_alike_are_accepted() -> None:
    for record in KINDS:
        require_same(record, parse(to_json(record), "f"), "runs/a", "features")
        assert differences(record, record) == {}


def test_a_run_made_for_another_backbone() -> None:
    other = replace(HOW, backbone="efficientnet-lite0", weights_sha256="00" * 32)
    with pytest.raises(RunError) as e:
        require_same(HOW, other, "runs/a", "features")
    assert str(e.value) == (
        "runs/a was made for another backbone: efficientnet-lite2, but features holds features of "
        "efficientnet-lite0. Make them as it reads them: miacap features DATA --run runs/a -o "
        "FOLDER"
    )


def test_it_is_said_which_number_is_whose_and_no_checksum() -> None:
    other = replace(HOW, size=160, weights_sha256="ef" * 32)
    with pytest.raises(RunError) as e:
        require_same(HOW, other, "my runs/a", "features")
    assert str(e.value) == (
        "my runs/a was made for photos prepared otherwise than those in features: weights_sha256 "
        "(another network, or other weights of it); size 224 in the run and 160 in the features. "
        "Make them as it reads them: miacap features DATA --run 'my runs/a' -o FOLDER"
    )
    with pytest.raises(RunError, match=r"size 224 in the concepts and 160 .* make the concepts"):
        require_same(HOW, other, "concepts", "features", owner="concepts")


def test_every_difference_counts() -> None:
    changes = {
        "weights_sha256": "cd", "size": 260, "resize": "crop", "interpolation": "lanczos",
        "mean": (0.4, 0.4, 0.4), "std": (0.4, 0.4, 0.4), "colour": "BGR", "alpha": "black",
        "exif": "ignore", "grid": 7, "precision": "bfloat16", "flips": True,
    }  # fmt: skip
    assert {"kind", "backbone", *changes} == {field.name for field in fields(Preprocessing)}
    for name, value in changes.items():
        other = replace(HOW, **{name: value})
        with pytest.raises(RunError, match=name) as e:
            require_same(HOW, other, "runs/a", "features")
        assert str(e.value).endswith(": miacap features DATA --run runs/a -o FOLDER")
        mine, theirs = (Manifest("regions", h, 4, None, None, "test") for h in (HOW, other))
        (said,) = mine.differences(theirs)
        assert said.startswith(f"preprocessing.{name}: ")


def test_every_difference_of_a_detector_counts() -> None:
    what = replace(CATS.input, padding=0)
    changes: dict[str, tuple[str, object]] = {
        "weights_sha256": ("weights_sha256", "ab"),
        "description": ("description.input.padding", replace(CATS, input=what)),
        "pooling": ("pooling.size", replace(HOW, size=448)),
        "rows": ("rows", "grid+boxes"), "boxes": ("boxes", 40), "fewest": ("fewest", 10),
        "threshold": ("threshold", 0.3), "bins": ("bins", 1), "samples": ("samples", 1),
    }  # fmt: skip
    assert {"kind", *changes} == {field.name for field in fields(Detector)}
    for name, (full, value) in changes.items():
        other = replace(BOXES, **{name: value})
        assert list(differences(BOXES, other)) == [full]
        with pytest.raises(RunError, match=full):
            require_same(BOXES, other, "runs/a", "features")
    others = replace(CATS, outputs=BoxOutputs("b", "s"))
    named = differences(BOXES, replace(BOXES, description=others))
    assert named["description.outputs.kind"] == ("yolox", "boxes")
    assert named["description.outputs.boxes"] == (None, "b")


def test_detectors_on_other_backbones_and_of_other_classes() -> None:
    other = replace(BOXES, pooling=replace(HOW, backbone="efficientnet-lite0"))
    with pytest.raises(RunError, match=r"backbone: efficientnet-lite2, .*--run runs/a -o FOLDER$"):
        require_same(BOXES, other, "runs/a", "features")
    many = replace(BOXES, description=replace(CATS, classes=tuple(map(str, range(999)))))
    with pytest.raises(RunError, match=r"description\.classes \['cat', 'dog'\]") as e:
        require_same(BOXES, many, "runs/a", "features")
    assert len(str(e.value)) < 400


def test_what_a_photo_is_reduced_to() -> None:
    assert (HOW.side, BOXES.side) == (224, 224)
    large = replace(CATS, input=DetectorInput(640, 416))
    assert replace(BOXES, description=large).side == 640
    black = replace(BOXES, pooling=replace(HOW, alpha="black", exif="ignore"))
    assert (black.alpha, black.exif) == ("black", "ignore")
    assert (BOXES.title, replace(BOXES, rows="grid+boxes").title) == (
        "cats on efficientnet-lite2", "cats on efficientnet-lite2 with the grid",
    )  # fmt: skip


def test_given_features_and_others_do_not_mix() -> None:
    given = Given("mine", "a friend's")
    with pytest.raises(RunError) as e:
        require_same(HOW, given, "runs/a", "features")
    assert str(e.value) == (
        "runs/a was made for features of efficientnet-lite2, but features holds given features "
        "'mine' (a friend's). Choose the folder of features that belongs to it."
    )
    with pytest.raises(RunError, match=r"'mine' .*but features holds given features 'yours'"):
        require_same(given, Given("yours"), "runs/a", "features")
    with pytest.raises(RunError, match=r"otherwise .*: kind 'grid' in the run and 'detector' in"):
        require_same(HOW, KINDS[1], "runs/a", "features")


def test_telling_how_features_were_made_needs_no_torch() -> None:
    code = (
        "import sys, miacap.data.features, miacap.data.manifest; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
