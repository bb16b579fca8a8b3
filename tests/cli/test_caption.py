"""`miacap caption`: forms, files, empty captions, photos that are not read, and no run."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from miacap import captioning
from miacap.captioning import Row
from miacap.cli.application import _invoke
from miacap.cli.caption_forms import image_id
from miacap.errors import DataError
from miacap.runs import pretrained

ROWS = (
    Row("b/COCO_val2014_000000391895.jpg", "A dog, running.", -1.5),
    Row("none.jpg", error="none.jpg: there is no such photo."),
    Row("x\ty.jpg", "A cat.", -2.25),
)


class Fake:
    def __init__(self, rows: tuple[Row, ...]) -> None:
        self.given = rows

    def rows(self, photos: object, sharing: object = None) -> Iterator[Row]:
        yield from self.given


def run(*arguments: object, rows: tuple[Row, ...] = ROWS) -> int:
    with mock.patch.object(captioning, "load", lambda *_, **__: Fake(rows)):
        return _invoke(["caption", "a", "b", "--run", "r", *map(str, arguments)])


def test_json_lines_say_the_id_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--format", "jsonl") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == {"id": ROWS[0].id, "caption": "A dog, running.", "log_probability": -1.5}
    assert rows[1] == {"id": "none.jpg", "error": "there is no such photo."}


@pytest.mark.parametrize("where", ["printed", "file"])
def test_csv_and_coco(tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str) -> None:
    for form in ("csv", "coco"):
        given = [] if where == "printed" else ["-o", tmp_path / form]
        assert run("--format", form, *given) == 0
        text = capsys.readouterr().out
        if where == "file":
            assert text == ""
            text = (tmp_path / form).read_text()
        if form == "csv":
            last = "x\\ty.jpg" if where == "printed" else "x\ty.jpg"  # exact in a file alone
            assert list(csv.reader(io.StringIO(text))) == [
                ["id", "caption", "log_probability", "error"],
                ["b/COCO_val2014_000000391895.jpg", "A dog, running.", "-1.5", ""],
                ["none.jpg", "", "", "there is no such photo."],
                [last, "A cat.", "-2.25", ""],
            ]
        else:
            assert json.loads(text) == [
                {"image_id": 391895, "caption": "A dog, running."},
                {"image_id": "x\ty.jpg", "caption": "A cat."},
            ]


def test_text_goes_into_a_file_that_keeps_its_permissions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "captions.txt"
    file.write_text("older")
    file.chmod(0o600)
    assert run("-o", file) == 0
    assert file.read_text() == (
        "b/COCO_val2014_000000391895.jpg\tA dog, running.\nx\\ty.jpg\tA cat.\n"
    )
    assert os.name != "posix" or file.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().err == "miacap: none.jpg: there is no such photo.\n"


@pytest.mark.parametrize(("captions", "code"), [(["", "A dog."], 0), (["", ""], 1)])
def test_empty_captions_are_said(
    captions: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tuple(Row(f"{i}.jpg", text, -1.0) for i, text in enumerate(captions))
    assert run(rows=rows) == code
    are = "is" if captions.count("") == 1 else "are"
    said = f"warning: {captions.count('')} of 2 captions {are} empty; try a smaller --beam"
    assert said in capsys.readouterr().err


def test_without_a_run_it_says_what_is_needed_and_what_is_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "installed", lambda: ())
    assert _invoke(["caption", "photos"]) == 2
    err = capsys.readouterr().err
    assert "captions need a trained run: install one (in a checkout: pip install ./pretrain" in err
    assert "or name one with --run RUN: none was found here; docs/tutorial.md" in err
    mine = tmp_path / "runs" / "mine"
    mine.mkdir(parents=True)
    for name in ("settings.json", "vocabulary.json"):
        (mine / name).write_text("{}")
    assert _invoke(["caption", "photos"]) == 2
    assert f"add --run {Path('runs/mine')}" in capsys.readouterr().err
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.JPG").write_text("")
    with pytest.raises(DataError) as error:
        _invoke(["features", "photos", "-o", "f"])
    said = "Photos without captions can be captioned, not learned from: miacap caption photos --run"
    assert said in str(error.value) and "runs/mine" in str(error.value).replace(os.sep, "/")
    assert "or learn from a public set: docs/data.md, Captions to learn" in str(error.value)
    (tmp_path / "photos" / "captions.csv").write_text("file,caption\na.jpg,\n")
    with pytest.raises(DataError, match="no captions at all") as error:
        _invoke(["features", "photos", "-o", "f"])
    assert "learned from" not in str(error.value)


def test_without_a_run_the_installed_captioner_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    there = mock.Mock(folder=folder)
    there.name = "box"
    monkeypatch.setattr(pretrained, "installed", lambda: (there,))
    loaded = []
    with mock.patch.object(captioning, "load", lambda run, **_: loaded.append(run) or Fake(ROWS)):
        assert _invoke(["caption", "a", "b"]) == 0
        assert _invoke(["caption", "a", "b", "--run", "box", "--run", "mine"]) == 0
    assert loaded == [[folder], [folder, Path("mine")]]
    assert "taking" not in capsys.readouterr().err


def test_a_run_that_is_given_as_a_photo_is_named(tmp_path: Path) -> None:
    for name in ("settings.json", "vocabulary.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match=r": is a run; give it with --run\.$"):
        _invoke(["caption", str(tmp_path)])


def test_photos_that_are_not_read_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.HEIC", "b.heif", "c.jpg", "d.NEF", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "e.heic").mkdir()
    assert _invoke_folder(tmp_path) == 0
    first, second, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith(
        f"not read: {tmp_path / 'a.HEIC'}, {tmp_path / 'b.heif'}: HEIC photos need"
    )
    assert first.endswith("pip install pillow-heif; or save them as JPEG.")
    assert second.startswith(f"not read: {tmp_path / 'd.NEF'}: photos of this kind are not read;")
    assert not any("not read" in line for line in rest)


def test_a_folder_is_searched_for_every_kind_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miacap.cli.caption import _expand
    from miacap.visual import formats

    names = ["a.AVIF", "b.heic", "c.HEIF", "d.jp2", "e.jfif", "f.jpe", "g.mpo", "h.webp"]
    for name in names:
        (tmp_path / name).write_text("")
    monkeypatch.setattr(formats, "load_formats", lambda: ("HEIF",))
    assert _expand(str(tmp_path)) == [str(tmp_path / name) for name in names]


def _invoke_folder(folder: Path) -> int:
    with mock.patch.object(captioning, "load", lambda *_, **__: Fake(ROWS)):
        return _invoke(["caption", str(folder), "--run", "r"])


def test_heat_maps_of_two_photos_are_kept_apart() -> None:
    from miacap.cli.concepts import _folder_of

    names = {_folder_of(Path(p), d) for p in ("a/dog 1.jpg", "b/dog 1.jpg") for d in (b"1", b"2")}
    assert len(names) == 2 and all(name.startswith("dog_1-") for name in names)


def test_coco_ids_are_numbers_of_coco_or_paths() -> None:
    ids = {
        "b/COCO_val2014_000000391895.jpg": 391895,
        "COCO_train2017_000000000001.jpg": 1,
        "000000391895.jpg": 391895,
        "x/17.png": 17,
        "holiday/IMG_0001.JPG": "holiday/IMG_0001.JPG",
        "other/DSC_0001.jpg": "other/DSC_0001.jpg",
        "COCO_val2014_0001.jpg": "COCO_val2014_0001.jpg",
        "a_COCO_val2014_000000391895.jpg": "a_COCO_val2014_000000391895.jpg",
        "١.jpg": "١.jpg",
    }
    assert {name: image_id(name) for name in ids} == ids


def test_two_photos_of_one_coco_id_are_refused() -> None:
    with pytest.raises(DataError) as e:
        _invoke(["caption", "a/17.jpg", "b/0017.png", "--run", "r", "--format", "coco"])
    assert str(e.value) == (
        "b/0017.png: has the image_id 17, as a/17.jpg has; give each photo once, and rename or "
        "leave out one of two with the same number."
    )
