"""The room's door: lazy names, and what is said where Pillow is not installed."""

import sys
from pathlib import Path

import pytest

import miacap.data
from miacap.data import Dataset, Entry, NoPhotos, Photos, draw
from miacap.data.photos import FolderPhotos
from miacap.errors import DataError, MissingExtra


def test_every_public_name_is_there() -> None:
    for name in miacap.data.__all__:
        assert getattr(miacap.data, name).__module__.startswith("miacap.data")
    with pytest.raises(AttributeError, match=r"'miacap\.data' has no attribute 'reed'"):
        _ = miacap.data.reed


def test_drawing_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"drawing scenes needs the extra \[torch\]: pip"):
        draw(tmp_path / "s", 3)


def test_ids_are_unique() -> None:
    two = (Entry("a", ("x",), "train"), Entry("a", ("y",), "dev"))
    with pytest.raises(DataError, match=r"mine: 1 id belongs to several pictures.*'a'; every"):
        Dataset("mine", two, NoPhotos())


def test_a_folder_gives_only_what_lies_in_it(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"a")
    (tmp_path / "secret.jpg").write_bytes(b"s")
    photos = FolderPhotos(tmp_path / "photos", {"1": "a.jpg", "2": "../secret.jpg", "3": "."})
    assert isinstance(photos, Photos) and photos.read("1") == b"a"
    for id in ("2", "3", "4", "a.jpg"):
        assert id not in photos
        with pytest.raises(DataError, match=rf"{id}: no such photo in .*photos"):
            photos.read(id)
