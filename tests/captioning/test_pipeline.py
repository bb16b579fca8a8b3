"""Photos in, rows out: what is no photo, one bad cell among good ones, where it is computed."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import miacap
from miacap import captioning, runs
from miacap.captioning import Pipeline
from miacap.captioning import pipeline as module
from miacap.decoding import SearchSettings
from miacap.errors import PictureError, SettingsError


@pytest.fixture(scope="module")
def pipeline(world) -> Pipeline:
    return miacap.load(world.run("plain"))


@pytest.fixture
def photo(world, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(world.dataset.photos.read(world.dataset.ids[0]))
    return path


def test_pixels_are_a_photo_too(pipeline: Pipeline, photo: Path) -> None:
    expected = pipeline.caption(photo)
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    assert pipeline.caption(pixels) == expected
    assert pipeline.caption(pixels[:, ::-1][:, ::-1]) == expected  # not contiguous
    assert [row.id for row in pipeline.rows([pixels, pixels])] == ["0", "1"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((4, 4, 3)), r"an array of float64 and shape \(4, 4, 3\); give height x width x"),
        (np.zeros((4, 4, 2), np.uint8), r"an array of uint8 and shape \(4, 4, 2\); give height"),
        (np.zeros(9, np.uint8), r"an array of uint8 and shape \(9,\); give height"),
        (["a.jpg"], "a value of type list; give a path, bytes of an image file"),
        (7, "a value of type int; give a path"),
        (None, "an empty cell"),
        (math.nan, "an empty cell"),
    ],
)
def test_what_is_no_photo_says_what_to_pass(
    pipeline: Pipeline, value: object, message: str
) -> None:
    with pytest.raises(PictureError, match=f"no photo, but {message}"):
        pipeline.caption(value)  # type: ignore[arg-type]


def test_one_photo_is_no_list_of_photos(pipeline: Pipeline, photo: Path) -> None:
    for one in (str(photo), photo, photo.parent, photo.read_bytes(), Image.new("RGB", (9, 9))):
        with pytest.raises(SettingsError, match=r"rows\(\) takes a list of photos\. For one pho"):
            pipeline.rows(one)  # type: ignore[arg-type]


def test_a_missing_cell_never_ends_a_batch(pipeline: Pipeline, photo: Path) -> None:
    expected = pipeline.caption(photo)
    columns = {"id": [1, 2, 3], "path": [str(photo), None, math.nan]}
    found = pipeline(columns)
    assert found["id"] == ["1", "2", "3"] and found["caption"] == [expected, None, None]
    assert found["error"][0] is None
    assert all("no photo, but an empty cell" in error for error in found["error"][1:])
    data = photo.read_bytes()
    both = {"id": ["a", "b"], "path": [str(photo), "nowhere.jpg"], "bytes": [None, data]}
    assert pipeline(both)["caption"] == [expected, expected]
    with pytest.raises(SettingsError, match='a column "path" or "bytes"'):
        pipeline({"id": ["a"]})


def test_what_is_asked_for_reaches_the_search(
    world, pipeline: Pipeline, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miacap.captioning import rows

    asked: list[SearchSettings] = []
    real = rows.search

    def search(captioner: object, pictures: object, settings: SearchSettings, rules: object):
        asked.append(settings)
        return real(captioner, pictures, settings, rules)  # type: ignore[arg-type]

    monkeypatch.setattr(rows, "search", search)
    folder = world.run("plain")
    Pipeline(folder, beam=5, length_penalty=0.7).caption(photo)
    captioning.evaluate(
        runs.load(folder), world.dataset, "dev", world.regions, beam=4, length_penalty=0.5,
        controls=False, quiet=True,
    )  # fmt: skip
    pipeline.caption(photo)
    chosen = [(settings.beam, settings.length_penalty) for settings in asked]
    own = runs.load(folder).settings
    assert chosen == [(5, 0.7), *[(4, 0.5)] * (len(chosen) - 2), (own.beam, own.length_penalty)]
    assert all(settings.maximum_words == own.maximum_words for settings in asked)
    assert all(settings.minimum_words == 1 for settings in asked)


def test_a_row_states_the_score_that_a_length_penalty_made(world, photo: Path) -> None:
    (row,) = Pipeline(world.run("plain"), length_penalty=1.0).rows([photo])
    (plain,) = Pipeline(world.run("plain")).rows([photo])
    assert plain.score is None and "score" not in plain.to_json()
    assert row.score is not None and row.log_probability is not None
    words = len(row.caption.split()) if row.caption else 0
    # The sentence's words and its end, where it ended before the limit.
    lengths = [row.log_probability / row.score]
    assert any(abs(lengths[0] - n) < 1e-6 for n in (words, words + 1))
    assert row.to_json()["score"] == row.score


def test_every_part_is_built_where_it_was_asked_for(
    world, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake name for the one device that there is: whoever names a device himself is caught."""
    named: list[object] = []

    def choose(device: object = "auto") -> torch.device:
        named.append(device)
        assert isinstance(device, torch.device) or device == "elsewhere"
        return torch.device("cpu")

    for place in (
        "miacap.devices",
        "miacap.captioning.pipeline",
        "miacap.captioning.evaluation",
        "miacap.runs.folder",
        "miacap.concepts.extractor",
        "miacap.visual.backbones",
    ):
        monkeypatch.setattr(f"{place}.choose", choose, raising=False)
    run = world.run("combined")
    assert miacap.load(run, device="elsewhere").caption(photo)
    captioning.evaluate(
        runs.load(run), world.dataset, "dev", world.regions, controls=False, quiet=True,
        device="elsewhere",
    )  # fmt: skip
    assert named.count("elsewhere") >= 2


def test_a_run_is_read_once(world, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    real = runs.load
    monkeypatch.setattr(module.runs, "load", lambda folder: read.append(folder) or real(folder))
    pipeline = miacap.load(world.run("combined"))
    assert pipeline.caption(photo) and pipeline.caption(photo)
    assert read == [world.run("combined")]
