"""The record of a caption: words with log-probabilities, the n best, and all of it as JSON."""

import json
from pathlib import Path

import pytest

import miacap
from miacap.captioning import Pipeline
from miacap.errors import PictureError, SettingsError


@pytest.fixture
def photos(world, tmp_path: Path) -> list[Path]:
    paths = []
    for name in world.dataset.ids[:3]:
        paths.append(tmp_path / f"{len(paths)}.png")
        paths[-1].write_bytes(world.dataset.photos.read(name))
    return paths


@pytest.mark.parametrize("name", ["plain", "combined"])
def test_candidates_add_up_and_the_first_is_the_caption(
    world, photos: list[Path], name: str
) -> None:
    plain = list(miacap.load(world.run(name)).rows(photos))
    pipeline = Pipeline(world.run(name), best=5)
    for before, row in zip(plain, pipeline.rows(photos), strict=True):
        assert not before.candidates and before.per_word is not None
        first = row.candidates[0]
        # To the bit what a caption without candidates is.
        assert (row.caption, row.log_probability) == (before.caption, before.log_probability)
        assert (first.caption, first.log_probability) == (row.caption, row.log_probability)
        assert first.per_word == row.per_word == before.per_word
        assert 2 <= len(row.candidates) <= 5
        texts = [candidate.caption for candidate in row.candidates]
        assert len(set(texts)) == len(texts)
        others = [candidate.log_probability for candidate in row.candidates[1:]]
        assert others == sorted(others, reverse=True)
        for candidate in row.candidates:
            gains = [word.log_probability for word in candidate.words]
            assert sum(gains) == pytest.approx(candidate.log_probability, abs=1e-4)
            assert candidate.per_word == pytest.approx(sum(gains) / len(gains), abs=1e-5)
            assert all(gain <= 0 for gain in gains)
            assert (candidate.words[-1].word == "") == candidate.ended
        row_alone = miacap.load(world.run(name)).row(row.id, best=5)
        assert [c.caption for c in row_alone.candidates] == texts


def test_one_photo_gives_its_candidates(world, photos: list[Path]) -> None:
    pipeline = miacap.load(world.run("plain"))
    several = pipeline.captions(photos[0], best=4)
    assert several[0].caption == pipeline.caption(photos[0]) and 2 <= len(several) <= 4
    assert len(pipeline.captions(photos[0], best=1)) == 1
    assert pipeline.row(photos[0], best=0).candidates == ()
    with pytest.raises(PictureError):
        pipeline.captions(b"no photo")
    for wrong in (lambda: pipeline.captions(photos[0], best=0), lambda: pipeline.row(b"", best=-1)):
        with pytest.raises(SettingsError, match="best is at least"):
            wrong()
    with pytest.raises(SettingsError, match="best is at most 1,000"):
        Pipeline(world.run("plain"), best=5_000)


def test_a_record_is_json_with_every_number(world, photos: list[Path]) -> None:
    row = miacap.load(world.run("plain")).row(photos[0], best=2)
    told = json.loads(json.dumps(row.record()))
    assert told["id"] == str(photos[0]) and told["caption"] == row.caption
    assert told["log_probability_per_word"] == row.per_word
    assert told["confidence"] is None  # this run is not calibrated
    first = told["candidates"][0]
    words = row.candidates[0].words
    assert first["words"] == [[word.word, word.log_probability] for word in words]
    assert set(first) == {
        "caption", "log_probability", "log_probability_per_word", "ended", "words",
    }  # fmt: skip
    assert "candidates" not in row.to_json()
