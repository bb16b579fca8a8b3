"""dev.json and the card after a training: numbers of which pictures, written when, and doubts."""

import json
from pathlib import Path
from typing import Any

import pytest

from miacap.captioning import evaluation
from miacap.captioning.outcome import FILE, doubt, finish
from miacap.captioning.validation import DevScores
from miacap.captioning.words import Lengths, lengths
from miacap.metrics.comparisons import Interval
from miacap.runs import CARD
from miacap.training import FitResult

from .small import DATA, World, fit, make, settings


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("outcome"))


TRAIN, DEV = DATA.split("train").captions, DATA.split("dev").captions


@pytest.fixture
def dev(world: World, tmp_path: Path) -> DevScores:
    run = fit(world, tmp_path / "r", settings("nic", "plain"), None, stop_after=0)
    inputs: Any = None
    return DevScores(run, inputs, DEV)


def ended(steps: int = 6) -> FitResult:
    return FitResult(True, "patience", 0.5, 2, 3, steps, 1.0, (), Path("w"))


SCORES = {"CIDEr-D": 0.5, "distinct": 3.0}
SAID = dict.fromkeys(DEV, "a dog")


def go(dev: DevScores, steps: int = 6, counted: Lengths = Lengths(12, 0, 5)) -> dict[str, Any]:  # noqa: B008 - frozen
    finish(ended(steps), SCORES, object(), dev, TRAIN, counted)  # type: ignore[arg-type]
    told: dict[str, Any] = json.loads((dev.run.folder / FILE).read_text())
    return told


def test_controls_compare_the_dev_captions_with_the_training_captions(
    dev: DevScores, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[object, ...]] = []

    def above_blind(*arguments: object) -> dict[str, Interval]:
        given.append(arguments)
        return {}

    monkeypatch.setattr(evaluation, "above_blind", above_blind)
    monkeypatch.setattr(DevScores, "candidates", lambda *_: SAID)
    told = go(dev, counted=Lengths(12, 5, 9))
    assert given == [(TRAIN, DEV, SAID)]
    assert (told["training_pictures"], told["training_captions"], told["cut_captions"]) == (
        6,
        12,
        5,
    )
    assert told["best_epoch"] == 2 and told["scores"] == SCORES and told["step"] == 6
    card = (dev.run.folder / CARD).read_text()
    assert "Reached after epoch 2" in card
    assert "5 of 12 training captions are longer than maximum_words=6 and were cut" in card


def test_a_finished_training_is_told_once_and_an_edited_card_stays_for_ever(
    dev: DevScores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DevScores, "candidates", lambda *_: SAID)
    folder = dev.run.folder
    first = go(dev)
    written = (folder / CARD).read_text()
    (folder / CARD).write_text("")
    assert go(dev) == first and (folder / CARD).read_text() == ""  # the same end, nothing is done
    (folder / CARD).unlink()
    assert go(dev) == first and (folder / CARD).read_text() == written  # deleted, to have it anew
    go(dev, steps=9)
    assert "Reached after epoch 2" in (folder / CARD).read_text()  # trained longer
    (folder / CARD).write_text("My own words.")
    for steps in (12, 15):
        assert go(dev, steps=steps)["step"] == steps
        assert (folder / CARD).read_text() == "My own words."


def told(folder: Path, above: dict[str, tuple[float, float]], pictures: int) -> str | None:
    values = {name: {"difference": difference, "low": low, "high": difference + 1}
              for name, (difference, low) in above.items()}  # fmt: skip
    content = {"step": 6, "best_epoch": 2, "scores": SCORES, "above": values,
               "training_pictures": pictures, "training_captions": 9, "cut_captions": 0,
               "card_sha256": "0" * 64}  # fmt: skip
    (folder / FILE).write_text(json.dumps(content))
    return doubt(folder)


def test_a_gain_is_one_with_its_whole_interval_and_each_control_is_named(tmp_path: Path) -> None:
    clear, unclear = (0.2, 0.1), (0.2, 0.0)
    assert told(tmp_path, {"a constant caption": clear, "its captions shuffled": clear}, 9) is None
    for above, named in (
        ({"a constant caption": unclear, "its captions shuffled": clear}, "a constant caption"),
        ({"a constant caption": clear, "its captions shuffled": unclear}, "its captions shuffled"),
        ({"a constant caption": unclear, "its captions shuffled": unclear},
         "a constant caption and its captions shuffled"),
    ):  # fmt: skip
        said = told(tmp_path, above, 499)
        assert said is not None and f"no better than {named} (CIDEr-D)" in said
        assert "499 training pictures are few" in said
    said = told(tmp_path, {"a constant caption": unclear}, 500)
    assert said is not None and "train for more epochs" in said


def test_a_caption_as_long_as_may_be_is_not_cut() -> None:
    assert lengths({"a": [[1, 2], [1, 2, 3]]}, 3) == Lengths(2, 0, 3)
    assert lengths({"a": [[1, 2], [1, 2, 3]]}, 2) == Lengths(2, 1, 3)
    assert lengths({}, 2) == Lengths(0, 0, 0)
    half, most = (Lengths(4, n, 9).told(8) for n in (2, 3))
    assert half is not None and "maximum_words=9" not in half
    assert most is not None and most.endswith("Set --set maximum_words=9")
