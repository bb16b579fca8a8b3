"""What the demo begins with: photos with credits, captions, and where the captioner looked."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from miacap.data import scenes
from miacap.errors import RunError
from miacap.experiments import real_photos as module
from miacap.experiments.demonstration import first_look, table
from miacap.experiments.page import _photos, write_page
from miacap.experiments.real_photos import attention, look_at_photos, photos, seen
from miacap.explain.looks import Look
from miacap.explain.record import Attended, Concept, Photograph, Word
from miacap.runs import Installed

from .test_demo import evaluated

CAPTION = ("a", "red", "dog", "runs", "in", "red", "snow", "fast", "today")


def a_look(attends: bool = True, concepts: tuple[str, ...] = ()) -> Look:
    """Two regions side by side: the left one alone was looked at, at every word."""
    file = io.BytesIO()
    Image.new("RGB", (80, 40), (90, 90, 90)).save(file, "JPEG")
    words = tuple(Word(text, -1.0, ()) for text in CAPTION)
    weights = np.tile(np.array([1.0, 0.0], np.float32), (len(words), 1))
    found = (Attended("regions", "regions", weights, (weights,), ()),) if attends else ()
    boxes = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1]], np.float32)
    return Look(
        Photograph("p.jpg", 80, 40, file.getvalue()), ("run",), "nic", "plain", "A dog <runs>.",
        words, boxes, 2, found, {}, tuple(Concept(one, 0.5, None) for one in concepts), None,
        None, (),
    )  # fmt: skip


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every photo gets the same look; who looked is kept."""
    asked: list[Any] = []

    class Fake:
        def __init__(self, folder: Path, device: str) -> None:
            asked.append((folder, device))

        def look(self, photo: Path, hide: bool) -> Look:
            assert photo.is_file() and not hide
            return a_look(concepts=("dog", "snow"))

    monkeypatch.setattr(module, "Looker", Fake)
    return asked


def test_every_photo_is_small_free_and_credited() -> None:
    folder, rows = photos()
    assert {path.name for path in folder.glob("*.jpg")} == {row["file"] for row in rows}
    assert len(rows) >= module.PHOTOS
    gallery = folder / "README.md"
    for row in rows:
        with Image.open(folder / row["file"]) as photo:
            assert max(photo.size) == 480 and not photo.getexif(), row["file"]
        assert row["licence"] == "CC BY 2.0" and row["author"] and row["changes"], row
        assert row["page"].startswith("https://www.flickr.com/photos/")
        assert f"]({row['file']}) | [" in gallery.read_text() and row["author"] in (
            gallery.read_text()
        )
        assert len(row["captions"].split(" | ")) == 5
    title = {**rows[0], "title": "A day", "author": "Me", "changes": "resized"}
    assert module.credit(title) == '"A day" by Me, CC BY 2.0, resized'
    assert module.credit({**title, "title": ""}) == "Photo by Me, CC BY 2.0, resized"
    attended = module.credit({**title, "title": ""}, attended=True)
    assert attended == "Photo by Me, CC BY 2.0, resized, attention laid over it"


def test_the_page_links_the_author_and_the_licence(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    one = module.Seen(
        "a.jpg", "A dog.", (), "a.png", ("dog",), "Photo by Me", "https://x", "https://l?a&b"
    )
    for licence, link in (
        ("https://l?a&b", ', <a href="https://l?a&amp;b">licence</a>)'),
        ("", ")"),
    ):
        text = _photos([replace(one, licence_page=licence)], tmp_path)
        assert f'Photo by Me (<a href="https://x">page</a>{link}</small>' in text


def test_every_picture_of_the_docs_names_its_licence() -> None:
    """README shows one of the photos; all other pictures of the docs are of drawn scenes."""
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    (row,) = (row for row in photos()[1] if f"examples/photos/{row['file']} -o" in text)
    told = f"({row['page']}), [{row['licence']}]({row['licence_page']})"
    assert told in " ".join(text.split())
    assert "attention laid over it" in text


def test_words_of_meaning_are_shown_once_each_where_it_looked() -> None:
    words, picture = attention(a_look())
    assert words == ("red", "dog", "runs", "snow")
    assert picture.size == (5 * 400 + 4 * 8, 200 + 2 * 8 + 16)
    for index in range(1, 5):  # red on the left half of a map, grey on the right; the photo is grey
        left, right = (picture.getpixel((index * 408 + x, 100)) for x in (60, 340))
        assert left[0] > left[1] + 60 and abs(right[0] - right[1]) < 20, (index, left, right)
    plain = picture.getpixel((60, 100))
    assert abs(plain[0] - plain[1]) < 5
    words, picture = attention(a_look(attends=False))
    assert words == () and picture.size == (400, 232)


def test_photos_are_seen_one_by_one_and_kept_for_the_page(
    looked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = Installed("box", "box_package", "1.0")
    monkeypatch.setattr(Installed, "folder", tmp_path / "run")
    ahead = first_look(tmp_path / "demo", captioner, device="cpu")
    one = next(ahead)
    target = tmp_path / "demo" / "photos"
    assert (target / one.picture).is_file()  # there as soon as it is told
    assert json.loads((target / "captions.json").read_text()) == []
    every = [one, *ahead]
    assert looked == [(tmp_path / "run", "cpu")] and len(every) == module.PHOTOS
    assert seen(tmp_path / "demo") == every
    assert every[0].caption == "A dog <runs>." and every[0].concepts == ("dog", "snow")
    with open(photos()[0] / "CREDITS.csv", newline="") as file:
        assert [one.page for one in every] == [row["page"] for row in csv.DictReader(file)][:6]
    assert list(first_look(tmp_path / "demo", captioner, device="cpu")) == every  # again
    assert seen(tmp_path / "none") == []


def test_a_folder_of_somebodys_photos_is_left_alone(looked: list[Any], tmp_path: Path) -> None:
    mine = tmp_path / "photos"
    mine.mkdir()
    (mine / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"photos: holds 'mine\.jpg', which is of no demo"):
        next(first_look(tmp_path, Installed("box", "box_package"), device="cpu"))
    assert [path.name for path in mine.iterdir()] == ["mine.jpg"]


def test_the_page_begins_with_the_photos_and_credits_them(
    looked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Installed, "folder", tmp_path / "run")
    every = list(look_at_photos(Installed("box", "box_package"), tmp_path, "cpu"))
    every[0] = replace(every[0], concepts=())
    dataset = scenes.draw(tmp_path / "scenes", 20, seed=1)
    ids = dataset.split("test").ids[:2]
    results = {}
    for arm in ("plain", "combined"):
        result = evaluated(arm)
        rows = tuple(replace(row, id=id) for row, id in zip(result.rows, ids, strict=True))
        results[arm] = replace(result, rows=rows)
    told = table(results, dataset)
    page = tmp_path / "index.html"
    write_page(page, dataset, results, told, every, tmp_path / "photos")
    text = page.read_text()
    assert text.index("<h2>Photos</h2>") < text.index("<table>")
    assert text.count("<figure>") == 6 and text.count("concepts: dog, snow") == 5
    for one in every:
        assert f'href="{one.page}"' in text
    assert "A dog &lt;runs&gt;.; beside it where the captioner looked at red, dog" in text
    write_page(page, dataset, results, told)
    assert "<h2>Photos</h2>" not in page.read_text()


def test_the_demo_says_that_no_captioner_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from miacap import experiments
    from miacap.cli import demo
    from miacap.runs import pretrained

    monkeypatch.setattr(pretrained, "installed", lambda: ())
    demo._photos(tmp_path, "cpu")
    told = capsys.readouterr()
    assert told.out == "" and "pip install ./pretrained/flickr8k" in told.err
    box = SimpleNamespace(name="box", version="1.0")
    one = module.Seen("a.jpg", "A dog.", ("dog",), "a.png", ("dog",), "Photo by Me", "https://x")
    monkeypatch.setattr(pretrained, "installed", lambda: (box,))
    monkeypatch.setattr(experiments, "first_look", lambda *_, **__: iter([one]), raising=False)
    demo._photos(tmp_path, "cpu")
    assert capsys.readouterr().out.splitlines() == [
        "a.jpg: A dog.",
        "  concepts: dog",
        f"  where it looked at dog: {tmp_path / 'photos' / 'a.png'}",
        "  Photo by Me",
    ]
