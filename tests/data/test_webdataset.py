"""Tar shards: photos, texts and JSON under one key, as webdataset and img2dataset write them."""

import io
import json
import shutil
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.data import read
from miacap.data.photos import sha256_of, size_of
from miacap.errors import DataError, MiacapError

from .test_parquet import table


def shard(path: Path, files: Mapping[str, str | bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def fetched(folder: Path, number: int, failed: int = 0) -> None:
    """Write a shard as img2dataset does, with its table and its counts."""
    keys = [f"{number:05d}{index:04d}" for index in range(4)]
    files: dict[str, str | bytes] = {}
    for key in keys[failed:]:
        files[f"{key}.jpg"] = f"photo {key}"
        files[f"{key}.txt"] = f"a dog {key}"
        files[f"{key}.json"] = json.dumps({"key": key, "caption": f"a dog {key}"}, indent=4)
    shard(folder / f"{number:05d}.tar", files)
    lost = {"status": "failed_to_download", "error_message": "HTTP Error 404: Not Found"}
    fine = {"status": "success", "error_message": None}
    rows = [{"key": k, **(lost if k in keys[:failed] else fine), "caption": "x"} for k in keys]
    table(folder / f"{number:05d}.parquet", rows)
    (folder / f"{number:05d}_stats.json").write_text("{}")


def test_a_folder_of_img2dataset(tmp_path: Path) -> None:
    fetched(tmp_path, 0, failed=1)
    fetched(tmp_path, 1)
    data = read(tmp_path)
    assert len(data) == 7 and data.captions["000010002.jpg"] == ("a dog 000010002",)
    assert [(one.id, one.where, one.reason) for one in data.set_aside] == [
        ("000000000", "00000.parquet, row 1",
         "img2dataset did not fetch it: HTTP Error 404: Not Found")
    ]  # fmt: skip
    assert {id: data.photos.read(id).decode() for id in data.ids} == {
        id: f"photo {id[:-4]}" for id in data.ids
    }
    assert size_of(data.photos, "000010000.jpg") == len("photo 000010000")
    assert sha256_of(data.photos, "000010000.jpg") != sha256_of(data.photos, "000010001.jpg")
    before = [source.sha256 for source in data.sources]
    fetched(tmp_path, 1, failed=1)
    after = [source.sha256 for source in read(tmp_path).sources]
    assert before[0] == after[0] and before[1] != after[1]


def test_a_folder_of_files_of_img2dataset(tmp_path: Path) -> None:
    fetched(tmp_path, 0, failed=2)
    with tarfile.open(tmp_path / "00000.tar") as tar:
        for member in tar:
            path = tmp_path / "00000" / member.name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]
    (tmp_path / "00000.tar").unlink()
    data = read(tmp_path)
    assert set(data.captions) == {"00000/000000002.jpg", "00000/000000003.jpg"}
    assert [one.id for one in data.set_aside] == ["000000000", "000000001"]


def test_without_pyarrow_the_failed_ones_are_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(tmp_path, 0, failed=1)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (one,) = read(tmp_path).set_aside
    assert one.where == "00000.parquet" and "pip install 'miacap[parquet]'" in one.reason


def test_splits_by_names_and_by_folders(tmp_path: Path) -> None:
    pair = {"0.jpg": "P", "0.txt": "a dog\na brown dog\n"}
    shard(tmp_path / "a" / "set-restval-0000.tar", pair)
    shard(tmp_path / "a" / "set-validation-0000.tar", {"1.png": "V", "1.json": '{"text": "a cat"}'})
    found = {entry.id: (entry.split, entry.captions) for entry in read(tmp_path / "a")}
    assert found == {"0.jpg": ("train", ("a dog", "a brown dog")), "1.png": ("dev", ("a cat",))}
    for split in ("train", "val"):
        shard(tmp_path / "b" / split / "0000.tar", {**pair, "0.jpg": split})
    data = read(tmp_path / "b")
    assert {entry.id: entry.split for entry in data} == {
        "train/0.jpg": "train", "val/0.jpg": "dev"
    }  # fmt: skip
    assert data.photos.read("val/0.jpg") == b"val"


def test_names_that_come_twice_begin_with_their_shard(tmp_path: Path) -> None:
    for name in ("a", "b", "data/a"):
        shard(tmp_path / f"{name}.tar", {"./0.jpg": name, "./0.txt": f"a dog {name}"})
    data = read(tmp_path)
    assert data.captions == {f"{n}/0.jpg": (f"a dog {n}",) for n in ("a", "b", "data/a")}
    assert data.photos.read("b/0.jpg") == b"b" and data.photos.read("data/a/0.jpg") == b"data/a"


def test_what_a_key_may_lack_or_have_twice(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {
        "0.jpg": "P", "0.png": "Q", "0.txt": "",
        "0.json": '{"captions": ["a dog"], "split": "val"}',
        "1.jpg": "P", "2.txt": "a cat", "3.jpg": "P", "3.json": "{", "3.txt": "a cow",
        "4.cls": "7", ".5.jpg": "P", "6.JPG": "P", "6.TXT": b"\xff\xfea\0",
    })  # fmt: skip
    data = read(path)
    assert {entry.id: (entry.captions, entry.split) for entry in data if entry.id != "1.jpg"} == {
        "0.jpg": (("a dog",), "dev"), "3.jpg": (("a cow",), "dev"), "6.JPG": (("a",), "train"),
    }  # fmt: skip
    assert data.pictures[1].captions == ()
    assert [(one.id, one.reason) for one in data.set_aside] == [
        ("0.png", "a second photo of its key; first kept"),
        ("3", "a.tar, 3.json, line 1, column 2: not JSON (Expecting property name enclosed in "
              "double quotes)."),
        ("2", "a caption without a photo"),
    ]  # fmt: skip


def test_a_tar_of_photos_alone_is_none(tmp_path: Path) -> None:
    shard(tmp_path / "photos.tar", {"a.jpg": "A", "b.jpg": "B"})
    table(tmp_path / "photos.parquet", [{"file_name": "b.jpg", "caption": "a dog"}])
    data = read(tmp_path)
    assert data.ids == ("b.jpg",) and data.photos.read("b.jpg") == b"B"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_shards_end_in_a_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = shard(folder / "a.tar", {"0.jpg": "P", "0.txt": "a dog", "0.json": "{}"})
    content = bytearray(path.read_bytes()[:4096])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        dataset = read(path, format="webdataset")
        for id in dataset.ids:
            dataset.photos.read(id)
    except MiacapError as error:
        assert str(error)


@pytest.mark.slow
def test_real_shards(shared: Path, tmp_path: Path) -> None:
    formats = shared / "formats"
    for name in ("clip_retrieval/image1.tar", "webdataset/mpdata.tar"):
        with pytest.raises(DataError, match="is a tar, not a file of text"):
            read(formats / name)  # photos alone, and no photos at all
    # The real photos of one, in a shard of their own with captions.
    with tarfile.open(formats / "clip_retrieval" / "image2.tar") as tar:
        photos = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    texts = {f"{name[:-4]}.txt": "a photo" for name in photos}
    shutil.copy(formats / "clip_retrieval" / "image1.tar", tmp_path / "image1.tar")
    shard(tmp_path / "image2.tar", {**photos, **texts})
    data = read(tmp_path)
    assert len(data) == 7 and len(data.captions) == 3
    assert {id: data.photos.read(id) for id in data.captions} == photos
