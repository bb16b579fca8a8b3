"""COCO's own folders: annotations, train2014 and val2014, lists of ids, Karpathy's JSON."""

import json
from pathlib import Path

import pytest

from miacap.data import NoPhotos, read
from miacap.errors import DataError


def annotations(path: Path, split: str, ids: range) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": id, "file_name": f"COCO_{split}_{id:012d}.jpg"} for id in ids]
    captions = [{"image_id": id, "id": id, "caption": f"a dog {id}"} for id in ids]
    path.write_text(json.dumps({"images": images, "annotations": captions}))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """COCO's folders with pictures 0 to 3 in train2014 and 4 to 9 in val2014."""
    for split, ids in (("train2014", range(4)), ("val2014", range(4, 10))):
        annotations(tmp_path / "annotations" / f"captions_{split}.json", split, ids)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text("{}")
        (tmp_path / split).mkdir()
        for id in ids:
            (tmp_path / split / f"COCO_{split}_{id:012d}.jpg").write_text(str(id))
    return tmp_path


def splits(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in read(folder):
        found.setdefault(entry.split, []).append(entry.id)
    return found


def test_photos_lie_in_a_folder_for_each_split(coco: Path) -> None:
    data = read(coco)
    assert data.splits == {"train": 4, "dev": 6} and not data.set_aside
    assert [data.photos.read(id).decode() for id in data.ids] == list(data.ids)


def test_a_few_photos_of_many_pictures_are_all_found(tmp_path: Path) -> None:
    """Of 5,000 named pictures 3 photos are in train2014 and 7 in val2014, far from any sample."""
    annotations(tmp_path / "annotations" / "captions_train2014.json", "train2014", range(2000))
    annotations(tmp_path / "annotations" / "captions_val2014.json", "val2014", range(2000, 5000))
    for split, ids in (("train2014", range(1, 4)), ("val2014", range(2001, 2008))):
        (tmp_path / split).mkdir()
        for id in ids:
            (tmp_path / split / f"COCO_{split}_{id:012d}.jpg").write_text(str(id))
    data = read(tmp_path)
    assert data.splits == {"train": 3, "dev": 7} and len(data.set_aside) == 4990
    assert [data.photos.read(id).decode() for id in data.ids] == list(data.ids)


@pytest.mark.parametrize("place", ["", "annotations"])
def test_lists_divide_val2014(place: str, coco: Path) -> None:
    for name, ids in {"restval": "4\n5\n", "val": "6\n7\n", "test": "8\n"}.items():
        (coco / place / f"karpathy_{name}.txt").write_text(ids)
    # 9 is in no list: it is not the dev picture that the name of its file makes of it.
    assert splits(coco) == {
        "train": ["0", "1", "2", "3", "4", "5"], "dev": ["6", "7"], "test": ["8"], "none": ["9"],
    }  # fmt: skip
    (coco / place / "karpathy_train.txt").write_text("0\n")
    assert splits(coco)["train"] == ["0", "4", "5"]


def test_lists_beside_one_file(coco: Path) -> None:
    for name, ids in {"restval": "4\n5\n6\n7\n", "val": "8\n", "test": "9\n"}.items():
        (coco / "annotations" / f"karpathy_{name}.txt").write_text(ids)
    data = read(coco / "annotations" / "captions_val2014.json", photos=coco)
    assert data.splits == {"train": 4, "dev": 1, "test": 1}
    (coco / "annotations" / "other_restval.txt").write_text("1\n")
    with pytest.raises(DataError, match=r"both karpathy_restval\.txt and other_restval\.txt list"):
        read(coco)


def test_explicit_lists_are_the_only_word(coco: Path) -> None:
    data = read(coco, splits={"dev": ["4"], "test": ["5"]})
    assert data.splits == {"none": 8, "dev": 1, "test": 1}


def test_karpathys_file_wins(coco: Path) -> None:
    image = {"filepath": "val2014", "filename": f"COCO_val2014_{7:012d}.jpg", "cocoid": 7}
    sentence = {"raw": "A dog.", "tokens": ["a", "dog"]}
    value = {"images": [{**image, "split": "restval", "sentences": [sentence]}], "dataset": "coco"}
    (coco / "annotations" / "dataset_coco.json").write_text(json.dumps(value))
    data = read(coco)
    assert data.captions == {"7": ("A dog.",)} and data.splits == {"train": 1}
    assert data.photos.read("7") == b"7"


def test_only_one_file_of_annotations(coco: Path) -> None:
    (coco / "annotations" / "captions_train2014.json").unlink()
    assert len(read(coco)) == 6


def test_photos_of_one_name_in_two_folders_are_not_mixed(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val")):
        value = {
            "images": [{"id": number, "file_name": "1.jpg"}],
            "annotations": [{"image_id": number, "caption": "a dog"}],
        }
        (tmp_path / split).mkdir()
        (tmp_path / split / "1.jpg").write_text(split)
        (tmp_path / f"captions_{split}.json").write_text(json.dumps(value))
    with pytest.raises(
        DataError,
        match=r"pictures 0 and 1 are both called '1\.jpg', which lies in train and in val; write",
    ):
        read(tmp_path)
    (tmp_path / "val" / "1.jpg").unlink()  # two pictures of one photo: as they say
    assert read(tmp_path).photos.read("1") == b"train"


def test_sentences_that_lost_their_blanks_are_their_tokens(tmp_path: Path) -> None:
    sentences = [
        {"raw": "Thereisadog.", "tokens": ["There", "is", "a", "dog"]},
        {"raw": "There is a dog.", "tokens": ["there", "is"]},
        {"raw": "Dog.", "tokens": ["dog"]},
        {"raw": "一隻狗在跑", "tokens": ["一隻", "狗"]},
    ]
    value = {"images": [{"filename": "1.tif", "split": "train", "sentences": sentences}]}
    (tmp_path / "captions.json").write_text(json.dumps(value))
    (captions,) = read(tmp_path, photos=NoPhotos()).captions.values()
    assert captions == ("There is a dog", "There is a dog.", "Dog.", "一隻狗在跑")


@pytest.mark.slow
def test_the_real_files_of_coco(shared: Path, tmp_path: Path) -> None:
    folder = shared / "coco"
    (tmp_path / "annotations").mkdir()
    links = {
        "train2014": folder / "photos/train2014",
        "val2014": folder / "photos/val2014",
        "annotations/captions_val2014.json.gz": folder / "captions_val2014.slim.json.gz",
        "annotations/captions_train2014.json": folder / "photos/captions_train2014.subset.json",
    }
    links |= {f"karpathy_{n}.txt": folder / f"karpathy_{n}.txt" for n in ("restval", "val", "test")}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    data = read(tmp_path)
    assert data.splits == {"train": 61 + 394, "dev": 52, "test": 76}
    assert len(data.set_aside) == 40_504 - 522
    assert read(tmp_path, photos=NoPhotos()).splits == {"train": 30_565, "dev": 5000, "test": 5000}


@pytest.mark.slow
def test_the_real_ucm_file(shared: Path) -> None:
    file = shared / "formats" / "cocotalk" / "ucm_dataset_karpathy_style.json"
    data = read(file, photos=NoPhotos())
    assert data.splits == {"train": 1680, "test": 210, "dev": 210}
    assert data.captions["1.tif"][0] == "There is a piece of formland"  # as its tokens say
