"""Where captions and photos lie: a folder a split, texts beside photos, several places."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from miacap.cli import application
from miacap.data import NoPhotos, read
from miacap.data.photos import FolderPhotos, SeveralPhotos, TarPhotos, sha256_of
from miacap.errors import DataError

COMPOSED, APART = "café.jpg", unicodedata.normalize("NFD", "café.jpg")


def put(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def tar_of(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name.encode())
            tar.addfile(info, io.BytesIO(name.encode()))
    return path


def row(name: str, caption: str = "a dog runs") -> str:
    return json.dumps({"file_name": name, "caption": caption}) + "\n"


def test_a_metadata_file_for_each_split(tmp_path: Path) -> None:
    put(tmp_path, **{
        "train/metadata.jsonl": row("a.jpg") + row("b/c.jpg"), "train/a.jpg": "A",
        "train/b/c.jpg": "C", "validation/metadata.csv": "file_name,text\na.jpg,a cat\n",
        "validation/a.jpg": "V", "test2014/metadata.jsonl": row("t.jpg"), "test2014/t.jpg": "T",
        "other/metadata.jsonl": row("x.jpg"),
    })  # fmt: skip
    data = read(tmp_path)
    assert {entry.id: entry.split for entry in data} == {
        "train/a.jpg": "train", "train/b/c.jpg": "train", "validation/a.jpg": "dev",
        "test2014/t.jpg": "test",
    }  # fmt: skip
    assert [data.photos.read(id) for id in data.ids] == [b"T", b"A", b"C", b"V"]
    assert len(data.sources) == 3


def test_a_file_for_each_split(tmp_path: Path) -> None:
    put(tmp_path, **{"my_train.jsonl": row("a.jpg"), "val.jsonl": row("b.jpg")})
    found = {entry.id: entry.split for entry in read(tmp_path, photos=NoPhotos())}
    assert found == {"a.jpg": "train", "b.jpg": "dev"}
    coco = {"images": [{"id": 1, "file_name": "x.jpg"}], "annotations": []}
    for number, split in enumerate(("train2014", "val2014")):
        coco["images"] = [{"id": number, "file_name": f"{split}.jpg"}]
        coco["annotations"] = [{"image_id": number, "caption": "a dog"}]
        put(tmp_path / "coco", **{f"captions_{split}.json": json.dumps(coco)})
        put(tmp_path / "coco", **{f"instances_{split}.json": "{}"})
    found = {entry.id: entry.split for entry in read(tmp_path / "coco", photos=NoPhotos())}
    assert found == {"0": "train", "1": "dev"}


def test_a_text_beside_each_photo(tmp_path: Path) -> None:
    put(tmp_path, **{
        "a.jpg": "A", "a.txt": "a dog runs\n\na brown dog\n", "00001/b.PNG": "B",
        "00001/b.txt": "\ufeffa cat\r\n", "00001/b.json": "{}", "c.jpg": "C", "readme.txt": "x",
        "d.jpg": "D", "d.txt": "",
    })  # fmt: skip
    data = read(tmp_path)
    assert data.captions == {"a.jpg": ("a dog runs", "a brown dog"), "00001/b.PNG": ("a cat",)}
    assert data.ids == ("a.jpg", "d.jpg", "00001/b.PNG") and data.photos.read("00001/b.PNG") == b"B"
    before = data.sources[0].sha256
    (tmp_path / "a.txt").write_text("another dog")
    assert read(tmp_path).sources[0].sha256 != before


@pytest.mark.parametrize("name", ["token_list.jsonl", "captions-token.csv", "tokens.csv"])
def test_content_decides_over_a_name(name: str, tmp_path: Path) -> None:
    text = row("a.jpg") if name.endswith("jsonl") else "file_name,caption\na.jpg,a dog runs\n"
    put(tmp_path, **{name: text, "a.jpg": "A"})
    for place in (tmp_path, tmp_path / name):
        assert read(place).captions == {"a.jpg": ("a dog runs",)}


def test_a_stray_token_file_hides_no_captions(tmp_path: Path) -> None:
    put(tmp_path, **{"my_token.txt": "s3cr3t\n", "captions.csv": "image,caption\na.jpg,a dog\n"})
    assert read(tmp_path, photos=NoPhotos()).captions == {"a.jpg": ("a dog",)}


@pytest.mark.parametrize("on_disk", [COMPOSED, APART])
@pytest.mark.parametrize("in_file", [COMPOSED, APART])
def test_names_meet_in_either_unicode_form(on_disk: str, in_file: str, tmp_path: Path) -> None:
    put(tmp_path / "f", **{"x.csv": f"file,caption\nü/{in_file},a dog runs\n", f"ü/{on_disk}": "P"})
    data = read(tmp_path / "f")
    assert data.ids == (f"ü/{COMPOSED}",) and data.photos.read(data.ids[0]) == b"P"
    tar = tar_of(tmp_path / "p.tar", f"set/{on_disk}", "set/b.jpg")
    (tmp_path / "f" / "x.csv").write_text(f"file,caption\n{in_file},a dog runs\n")
    data = read(tmp_path / "f", photos=tar)
    assert data.ids == (COMPOSED,) and data.photos.read(COMPOSED).endswith(b".jpg")
    lists = {"dev": [in_file]}
    assert read(tmp_path / "f", photos=tar, splits=lists).split("dev").ids == (COMPOSED,)


def test_two_spellings_of_one_name_are_said(tmp_path: Path) -> None:
    put(tmp_path, **{"x.csv": f"file,caption\n{COMPOSED},a dog\n{APART},a cat\n", COMPOSED: "P"})
    data = read(tmp_path)
    assert data.captions == {COMPOSED: ("a dog", "a cat")}
    (said,) = data.set_aside
    assert (
        said.where == "x.csv, line 3" and "in another Unicode form at x.csv, line 2" in said.reason
    )


def test_a_name_without_its_extension_gets_a_hint(tmp_path: Path) -> None:
    put(tmp_path, **{"x.csv": "file,caption\nCOCO_1,a dog\nb.jpg,a cat\nc,a cow\n",
                     "b.jpg": "B", "COCO_1.jpg": "A", "c.jpg": "C", "c.png": "C"})  # fmt: skip
    first, second = read(tmp_path).set_aside
    assert first.reason == (
        "no such photo; 'COCO_1.jpg' is there: write names with their extension"
    )
    assert second.reason == "no such photo"
    put(tmp_path, **{"y.csv": "file,caption\nCOCO_1,a dog\n"})
    with pytest.raises(DataError, match=r"one; 'COCO_1\.jpg' is there: write names with their"):
        read(tmp_path / "y.csv")
    put(tmp_path, **{"y.csv": "file,caption\nnone.jpg,a dog\n"})
    with pytest.raises(
        DataError, match=r"one; say where they are with --photos FOLDER \(photos= in Python\)\.$"
    ):
        read(tmp_path / "y.csv")
    tar = TarPhotos([tar_of(tmp_path / "q.tar", "x/A.jpg")])
    assert tar.with_suffix("A") == SeveralPhotos([tar]).with_suffix("A") == "x/A.jpg"
    assert tar.with_suffix("A.jpg") == tar.with_suffix("B") == ""


def test_a_name_of_another_case_gets_a_hint(tmp_path: Path) -> None:
    put(tmp_path, **{"x.csv": "file,caption\nsub/img_1.jpg,a dog\nb.jpg,a cat\n", "b.jpg": "B",
                     "sub/IMG_1.JPG": "A"})  # fmt: skip
    (aside,) = read(tmp_path).set_aside
    assert aside.reason == (
        "no such photo (but 'sub/IMG_1.JPG' is there; write the same upper and lower case)"
    )
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(DataError, match=r"none of the 2 photos .*but 'sub/IMG_1\.JPG' is there"):
        read(tmp_path)
    assert TarPhotos([tar_of(tmp_path / "p.tar", "x/A.jpg")]).other_case("a.JPG") == "x/A.jpg"
    assert FolderPhotos(tmp_path).other_case("nothing.jpg") == ""


def test_photos_in_several_places(tmp_path: Path) -> None:
    put(
        tmp_path,
        **{
            "train2014/a.jpg": "A",
            "deep/val2014/b.jpg": "B",
            "x.csv": "file,caption\na.jpg,a dog\nb.jpg,a cat\nc.jpg,a cow\nd.jpg,x\n",
        },
    )
    tar = tar_of(tmp_path / "more.tar", "c.jpg", "a.jpg")
    places = [tmp_path / "train2014", tmp_path / "deep", tar]
    data = read(tmp_path / "x.csv", photos=places)
    assert data.ids == ("a.jpg", "b.jpg", "c.jpg")
    assert [data.photos.read(id) for id in data.ids] == [b"A", b"B", b"c.jpg"]
    assert [item.id for item in data.set_aside] == ["d.jpg"]
    options = [part for place in places for part in ("--photos", str(place))]
    command = ["features", str(tmp_path / "x.csv"), *options, "-o", str(tmp_path / "out")]
    run = CliRunner().invoke(application.app, command)
    assert "set aside: 1" in run.stderr and "d.jpg" in run.stderr


def test_archives_and_photos_as_data_say_what_they_are(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("metadata.jsonl", row("a.jpg"))
    tar = tar_of(tmp_path / "data.tar", "a.jpg")
    (tmp_path / "data.tar.gz").write_bytes(gzip.compress(tar.read_bytes()))
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF")
    with open(tmp_path / "large.tar", "wb") as file:
        file.write(tar.read_bytes())
        file.truncate(2**31)
    for name, kind in {
        "data.zip": r"a zip archive, not a file of text; unpack it",
        "data.tar": r"a tar, not a file of text; .*--photos",
        "data.tar.gz": "a tar, not a file of text",
        "large.tar": "a tar, not a file of text",
        "photo.jpg": "a JPEG photo, not a file of text",
    }.items():
        with pytest.raises(DataError, match=f"{name}: is {kind}"):
            read(tmp_path / name)


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_a_tar_of_headers_without_end_is_refused(kind: bytes, tmp_path: Path) -> None:
    header = tarfile.TarInfo("a")
    header.type, header.size = kind, 10
    block = header.tobuf(tarfile.USTAR_FORMAT) + b"10 path=x\n".ljust(512, b"\0")
    (tmp_path / "p.tar").write_bytes(block * 3000)
    with pytest.raises(DataError, match=r"p\.tar: not an uncompressed, whole tar"):
        TarPhotos([tmp_path / "p.tar"])


def test_special_tokens_in_captions_warn_before_training(tmp_path: Path) -> None:
    text = "file,caption\na.jpg,startseq a dog endseq\nb.jpg,a cat\nc.jpg,一只狗在草地上跑\n"
    put(tmp_path, **{"x.csv": text})
    data = read(tmp_path / "x.csv", photos=NoPhotos())
    assert len(data.warnings) == 2
    assert data.warnings[0].startswith("1 of 3 captions holds special tokens such as <unk>")
    assert data.warnings[1].startswith("1 of 3 captions is in a script without blanks")


def test_the_checksum_of_a_photo_takes_little_memory(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    data = bytes(range(256)) * 4096 * 12 + b"end"
    (folder / "a.jpg").write_bytes(data)
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        tar.add(folder / "a.jpg", "a.jpg")
    wanted = hashlib.sha256(data).hexdigest()
    del data

    class Others(FolderPhotos):
        def read(self, id: str) -> bytes:
            return b"other bytes"

    folder_photos, tar_photos = FolderPhotos(folder), TarPhotos([tmp_path / "p.tar"])
    for photos in (folder_photos, tar_photos, SeveralPhotos([NoPhotos(), tar_photos])):
        tracemalloc.start()
        found = sha256_of(photos, "a.jpg")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == wanted
        assert peak < 4 << 20
        with pytest.raises(DataError):
            sha256_of(photos, "b.jpg")
    assert sha256_of(Others(folder), "a.jpg") == hashlib.sha256(b"other bytes").hexdigest()


def test_one_text_of_two_photos_goes_to_one_and_the_other_is_listed(tmp_path: Path) -> None:
    for name in ("dog.jpg", "dog.png", "x/cat.jpg", "x/cat.JPEG", "alone.jpg", "alone.png"):
        put(tmp_path, **{name: b"photo"})
    put(tmp_path, **{"dog.txt": "A dog.\n", "x/cat.txt": "A cat.\n"})
    data = read(tmp_path, photos=NoPhotos())
    assert data.captions == {"dog.png": ("A dog.",), "x/cat.jpg": ("A cat.",)}
    assert [(aside.id, aside.where, aside.reason) for aside in data.set_aside] == [
        ("dog.jpg", "dog.jpg", "its text, dog.txt, goes to dog.png; name one anew"),
        ("x/cat.JPEG", "x/cat.JPEG", "its text, cat.txt, goes to cat.jpg; name one anew"),
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_photo_that_becomes_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
    (tmp_path / "a.jpg").write_bytes(b"a photo")
    places = (FolderPhotos(tmp_path), TarPhotos([tmp_path / "p.tar"]))
    path = places[0]._path("a.jpg")
    monkeypatch.setattr(places[0], "_path", lambda _: path)  # looked at just before
    for name in ("a.jpg", "p.tar"):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
    calls = [call for place in places for call in (place.read, place.sha256)]
    calls.append(lambda _: TarPhotos([tmp_path / "p.tar"]))  # type: ignore[arg-type,return-value]
    for call in calls:
        refused: list[str] = []

        def attempt(call: Callable[[str], object] = call, refused: list[str] = refused) -> None:
            with pytest.raises(DataError, match="is a named pipe; name a file"):
                call("a.jpg")
            refused.append("yes")

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(10)
        assert refused


def test_a_file_that_is_too_large_is_no_photo(tmp_path: Path) -> None:
    with open(tmp_path / "big.jpg", "wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(DataError, match=r"big\.jpg: holds more than 1,073,741,824 bytes"):
        FolderPhotos(tmp_path).read("big.jpg")
