"""COCO annotations and Karpathy's JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from miacap.data import NoPhotos, read
from miacap.errors import DataError

COCO = {
    "info": {},
    "images": [{"id": 7, "file_name": "COCO_7.jpg"}, {"id": 8, "file_name": "COCO_8.jpg"}],
    "annotations": [
        {"image_id": 7, "id": 1, "caption": "A dog.\n"},
        {"image_id": 9, "id": 2, "caption": "Lost."},
        {"image_id": 7, "id": 3, "caption": "Two dogs."},
    ],
}
KARPATHY = {
    "images": [
        {"filepath": "val2014", "filename": "x.jpg", "cocoid": 5, "split": "restval",
         "sentences": [{"raw": "One.", "tokens": ["one"]}]},
        {"filepath": "val2014", "filename": "y.jpg", "cocoid": 6, "split": "val", "sentences": []},
        {"filename": "z.jpg", "split": "test", "sentences": [{"raw": "Three."}]},
    ],
    "dataset": "coco",
}  # fmt: skip


def put(folder: Path, value: Any, photos: list[str]) -> Path:
    path = folder / "captions.json"
    path.write_text(json.dumps(value))
    for photo in photos:
        (folder / photo).parent.mkdir(exist_ok=True)
        (folder / photo).write_bytes(photo.encode())
    return path


def test_coco_annotations(tmp_path: Path) -> None:
    path = put(tmp_path, COCO, ["val2014/COCO_7.jpg", "val2014/COCO_8.jpg"])
    data = read(path)
    assert data.captions == {"7": ("A dog.", "Two dogs.")}
    assert data.ids == ("7", "8")
    assert data.photos.read("8") == b"val2014/COCO_8.jpg"
    assert [(s.id, s.where, s.reason) for s in data.set_aside] == [
        ("9", "captions.json, annotation 2", "its image is not listed")
    ]
    lists = {"dev": ["7"], "test": ["8"]}
    assert {e.id: e.split for e in read(path, splits=lists)} == {"7": "dev", "8": "test"}


def test_karpathy(tmp_path: Path) -> None:
    path = put(tmp_path, KARPATHY, ["val2014/x.jpg", "val2014/y.jpg", "z.jpg"])
    data = read(path)
    assert [(e.id, e.captions, e.split) for e in data] == [
        ("5", ("One.",), "train"), ("6", (), "dev"), ("z.jpg", ("Three.",), "test"),
    ]  # fmt: skip
    assert data.photos.read("5") == b"val2014/x.jpg"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [{"id": 7}]}, r"captions\.json, image 1: no 'file_name'"),
        ({"images": [{"file_name": "a.jpg"}]}, r"image 1: no 'id'; an id is a number or text"),
        ({"annotations": [{"image_id": True}]}, r"annotation 1: no 'image_id'"),
        ({"annotations": 3}, r"captions\.json: expected a list \"annotations\""),
        ({"images": [{"id": 7, "file_name": "../../a"}]}, r"leads out of the folder of photos"),
    ],
)
def test_other_structures(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = put(tmp_path, COCO | change, [])
    with pytest.raises(DataError, match=message):
        read(path, photos=NoPhotos())


def test_told_formats_that_are_another(tmp_path: Path) -> None:
    path = put(tmp_path, ["x"], [])
    for format in ("coco", "karpathy"):
        with pytest.raises(DataError, match='expected an object with a list of objects "images"'):
            read(path, format=format)


def test_the_real_coco_captions(shared: Path) -> None:
    path = shared / "coco" / "captions_val2014.slim.json.gz"
    lists = {"dev": shared / "coco/karpathy_val.txt", "test": shared / "coco/karpathy_test.txt"}
    data = read(path, photos=NoPhotos(), splits=lists)
    assert data.splits["dev"] == data.splits["test"] == 5000 and not data.set_aside
    assert min(len(captions) for captions in data.captions.values()) >= 5
    assert "391895" in data.captions
