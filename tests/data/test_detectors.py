"""What is said of a detector: read once, each wrong field named."""

import json
from pathlib import Path
from typing import Any

import pytest

from miacap.data.detectors import read_description
from miacap.errors import DataError, SettingsError

GOOD: dict[str, Any] = {
    "name": "thing",
    "input": {"width": 416, "height": 416},
    "outputs": {"kind": "yolox", "output": "out"},
    "classes": ["cat", "dog"],
}


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "thing.json"
    file.write_text(json.dumps({**GOOD, **changes}))
    return file


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    found = read_description(written(tmp_path))
    assert (found.iou, found.candidates, found.sha256, found.format) == (0.5, 1000, None, 1)
    assert (found.input.resize, found.input.colour, found.input.padding) == ("squash", "RGB", 114)
    assert found.outputs.names == ("out",) and found.classes == ("cat", "dog")
    assert read_description(written(tmp_path, iou=None)).iou is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clases": []}, "unknown setting 'clases'. Did you mean 'classes'?"),
        ({"input": {"widht": 416, "height": 416}}, "input: unknown setting 'widht'. Did you mean"),
        ({"input": {"width": 416}}, "input: missing: 'height'"),
        ({"input": {"width": 8, "height": 416}}, "width is 32 to 4096 pixels, not 8"),
        ({"input": {"width": 416, "height": 416, "std": [0, 1, 1]}}, "std has to be above 0"),
        ({"input": {"width": 416, "height": 416, "mean": [1, 2]}}, "mean has 3 entries, not 2"),
        ({"input": {"width": 416, "height": 416, "padding": 256}}, "padding is 0 to 255, not 256"),
        ({"input": {"width": 416, "height": 416, "resize": "leterbox"}}, "mean 'letterbox'?"),
        ({"outputs": {"kind": "yolo", "output": "out"}},
         "kind is one of yolox, gfl, boxes, table, not 'yolo'. Did you mean 'yolox'?"),
        ({"outputs": {"kind": "yolox", "output": "out", "strides": [0]}}, "strides are 1 to 1024"),
        ({"outputs": {"kind": "gfl", "scores": ["a"], "boxes": ["b", "c"], "strides": [8]}},
         "1 scores, 2 boxes and 1 strides"),
        ({"outputs": {"kind": "boxes", "boxes": "b", "scores": "s", "labels": "l",
                      "activation": "softmax"}}, "softmax goes over classes"),
        ({"classes": []}, "classes: 1 to 20000, not 0"),
        ({"iou": 0}, "iou lies in (0, 1], not 0"),
        ({"candidates": 0}, "candidates are 1 to 5000, not 0"),
        ({"name": " "}, "a detector needs a name"),
        ({"format": 2}, "format 2; this miacap reads 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises(SettingsError) as e:
        read_description(written(tmp_path, **changes))
    assert str(e.value).startswith(str(tmp_path / "thing.json")) and message in str(e.value)


def test_an_absent_description_and_one_that_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such description"):
        read_description(tmp_path / "absent.json")
    (tmp_path / "thing.json").write_text("{")
    with pytest.raises(DataError, match=r"thing\.json"):
        read_description(tmp_path / "thing.json")
