"""Token files with their split lists, made here and real."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from miacap.data import NoPhotos, read
from miacap.errors import DataError

TOKENS = """\
a.jpg#0\tA dog runs .
a.jpg#1\tA dog # 1 of the race .
b.jpg#0\tTwo cats .
stray.jpg.1#0\tNobody has this photo .
c.jpg#0\tA boy .
"""


def tar_of(path: Path, photos: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in photos.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like Flickr8k's: c has captions and no split, t is listed without captions."""
    (tmp_path / "Flickr8k.token.txt").write_bytes(TOKENS.encode())
    (tmp_path / "Flickr8k.lemma.token.txt").write_text("a.jpg#0\tA dog run .\n")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("a.jpg\n")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("b.jpg\n")
    (tmp_path / "Flickr_8k.testImages.txt").write_text("t.jpg\n")
    tar_of(tmp_path / "photos-0.tar", {"a.jpg": b"AA", "b.jpg": b"B"})
    tar_of(tmp_path / "photos-1.tar", {"c.jpg": b"C", "t.jpg": b"TTT"})
    return tmp_path


def test_a_folder_of_tokens_lists_and_tars(folder: Path) -> None:
    data = read(folder)
    assert {e.id: (e.split, e.captions) for e in data} == {
        "a.jpg": ("train", ("A dog runs .", "A dog # 1 of the race .")),
        "b.jpg": ("dev", ("Two cats .",)),
        "c.jpg": ("none", ("A boy .",)),
        "t.jpg": ("test", ()),
    }
    assert [(s.id, s.where, s.reason) for s in data.set_aside] == [
        ("stray.jpg.1", "Flickr8k.token.txt, line 4", "no such photo")
    ]
    assert [data.photos.read(id) for id in data.ids] == [b"AA", b"B", b"C", b"TTT"]
    assert "stray.jpg.1" not in data.photos and "t.jpg" in data.photos
    assert {s.name for s in data.sources} == {
        "Flickr8k.token.txt", "Flickr_8k.trainImages.txt", "Flickr_8k.devImages.txt",
        "Flickr_8k.testImages.txt",
    }  # fmt: skip
    assert "non-commercial" in data.sources[0].terms
    assert list(data.captions) == ["a.jpg", "b.jpg", "c.jpg"]


def test_gzip_windows_ends_and_a_byte_order_mark_change_nothing(folder: Path) -> None:
    plain = read(folder).pictures
    (folder / "Flickr8k.token.txt").unlink()
    text = b"\xef\xbb\xbf" + TOKENS.replace("\n", "\r\n").encode()
    (folder / "Flickr8k.token.txt.gz").write_bytes(gzip.compress(text))
    assert read(folder).pictures == plain
    assert read(folder / "Flickr8k.token.txt.gz").pictures == plain


def test_a_packed_twin_is_read_once(folder: Path) -> None:
    for name in ("Flickr8k.token.txt", "Flickr_8k.devImages.txt"):
        data = (folder / name).read_bytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(data))
    assert len(read(folder).captions["a.jpg"]) == 2


def test_a_blank_for_a_tab_is_read_and_other_lines_are_set_aside(folder: Path) -> None:
    text = "a.jpg#0 A dog runs .\na.jpg#0\tAgain .\nb.jpg A line without a number\nb.jpg#1\t \n"
    (folder / "Flickr8k.token.txt").write_text(text)
    data = read(folder)
    assert data.captions == {"a.jpg": ("A dog runs .",)}
    assert [(s.where.split(", ")[1], s.reason) for s in data.set_aside] == [
        ("line 2", "caption 0 comes twice; first kept"),
        ("line 3", "no NAME#NUMBER, tab, caption"),
        ("line 4", "blank caption"),
    ]


def test_the_folder_with_most_photos_is_taken(folder: Path) -> None:
    for tar in folder.glob("*.tar"):
        tar.unlink()
    for name, photos in {
        "few": ["a.jpg"],
        "Flicker8k_Dataset": ["a.jpg", "b.jpg", "t.jpg"],
    }.items():
        (folder / name).mkdir()
        for photo in photos:
            (folder / name / photo).write_bytes(name.encode())
    data = read(folder)
    assert data.ids == ("a.jpg", "b.jpg", "t.jpg")
    assert data.photos.read("a.jpg") == b"Flicker8k_Dataset"
    assert read(folder, photos=folder / "few").ids == ("a.jpg",)


def test_photos_in_a_tar_are_found_under_a_folder(folder: Path, tmp_path: Path) -> None:
    tar = tmp_path / "all.tar"
    tar_of(tar, {"set/a.jpg": b"1", "set/b.jpg": b"2", "other/b.jpg": b"3"})
    data = read(folder, photos=tar)
    assert data.ids == ("a.jpg",)  # b.jpg could be either
    assert data.photos.read("a.jpg") == b"1"


def test_captions_alone(folder: Path) -> None:
    data = read(folder, photos=NoPhotos())
    assert len(data) == 5 and not data.set_aside
    with pytest.raises(DataError, match=r"a\.jpg: .* read without photos; .*photos=FOLDER"):
        data.photos.read("a.jpg")


def test_wrong_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: there is no such file or folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no caption file here; looked for metadata\.jsonl"):
        read(tmp_path / "empty")
    (tmp_path / "run").mkdir()
    for name in ("settings.json", "vocabulary.json", "dev.json"):
        (tmp_path / "run" / name).write_text("{}")
    with pytest.raises(DataError, match=r"is a run folder; the order is miacap evaluate RUN DATA"):
        read(tmp_path / "run")
    with pytest.raises(
        DataError, match=r"none of the 5 photos is in .*empty, 'a\.jpg' for one; say"
    ):
        read(folder, photos=tmp_path / "empty")
    with pytest.raises(DataError, match=r"no such folder of photos"):
        read(folder, photos=tmp_path / "nowhere")
    (folder / "Flickr8k.token.txt").write_text("nothing of the form\n")
    with pytest.raises(DataError, match=r"no line reads NAME#NUMBER, tab, caption"):
        read(folder)


def test_tars_that_cannot_be_used(folder: Path) -> None:
    packed = folder / "packed.tar"
    tar_of(packed, {"a.jpg": b"x"}, "w:gz")
    with pytest.raises(DataError, match=r"packed\.tar: not an uncompressed, whole tar"):
        read(folder, photos=packed)
    packed.unlink()
    tar_of(folder / "photos-2.tar", {"a.jpg": b"again"})
    with pytest.raises(DataError, match=r"a\.jpg is in photos-0\.tar as well"):
        read(folder)


def test_a_tar_cut_short_after_it_was_read(folder: Path) -> None:
    data = read(folder)
    tar = folder / "photos-1.tar"
    tar.write_bytes(tar.read_bytes()[:513])
    with pytest.raises(DataError, match=r"photos-1\.tar: cut short at t\.jpg; fetch it again"):
        data.photos.read("t.jpg")
    with pytest.raises(DataError, match=r"no such photo in photos-0\.tar, photos-1\.tar"):
        data.photos.read("z.jpg")


def test_damaged_gzip(folder: Path) -> None:
    path = folder / "Flickr_8k.trainImages.txt"
    path.write_bytes(gzip.compress(b"a.jpg\n" * 50)[:-9])
    with pytest.raises(DataError, match=r"trainImages\.txt: damaged gzip file .*; fetch it again"):
        read(folder)


def test_an_id_in_two_lists(folder: Path) -> None:
    (folder / "Flickr_8k.devImages.txt").write_text("b.jpg\na.jpg\n")
    with pytest.raises(DataError, match=r"a\.jpg is in two splits, dev and train"):
        read(folder)


def test_two_lists_of_one_split(folder: Path) -> None:
    (folder / "val.txt").write_text("b.jpg\n")
    with pytest.raises(
        DataError, match=r"both Flickr_8k\.devImages\.txt and val\.txt list the dev"
    ):
        read(folder)


def test_the_real_flickr8k(shared: Path) -> None:
    data = read(shared / "flickr8k")
    assert data.name == "flickr8k"
    assert data.splits == {"train": 6000, "dev": 1000, "test": 1000, "none": 91}
    assert [(s.id, s.reason) for s in data.set_aside] == [
        ("2258277193_586949ec62.jpg.1", "no such photo")
    ]
    assert {len(captions) for captions in data.captions.values()} == {5}
    assert len(data.captions) == 7091
    test = data.split("test")
    assert len(test) == 1000 and not test.captions
    assert all(data.photos.read(id).startswith(b"\xff\xd8\xff") for id in test.ids[:20])
    assert data.split("none").captions["1155138244_859fd6e079.jpg"][0].startswith("A girl hands")
