"""dev.json and the card after a training: numbers of which pictures, written when, and doubts."""

import json
from pathlib import Path
from typing import Any

import pytest

from miacap.captioning import blind, evaluation
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
    constant = "one caption given to every photo"
    others = "its own captions given to other photos"
    assert told(tmp_path, {"a constant caption": clear, "its captions shuffled": clear}, 9) is None
    for above, named in (
        ({"a constant caption": unclear, "its captions shuffled": clear}, constant),
        ({"a constant caption": clear, "its captions shuffled": unclear}, others),
        ({"a constant caption": unclear, "its captions shuffled": unclear},
         f"{constant} and {others}"),
    ):  # fmt: skip
        said = told(tmp_path, above, 499)
        assert said is not None and f"no better than {named} (CIDEr-D)" in said
        assert "499 training pictures are few" in said
    said = told(tmp_path, {"a constant caption": unclear}, 500)
    assert said is not None and "train for more epochs" in said


@pytest.mark.parametrize(
    ("difference", "low", "digits", "said"),
    [
        (0.5, 0.4, 4, "CIDEr-D is 0.5000 above that of one caption given to every photo (95 % "
         "interval +0.4000 to +0.6000)."),
        (-0.02, -0.1, 3, "CIDEr-D is 0.020 below that of one caption given to every photo (95 % "
         "interval -0.100 to +0.600)."),
    ],
)  # fmt: skip
def test_captioners_that_see_nothing_are_told_in_words(
    difference: float, low: float, digits: int, said: str
) -> None:
    assert blind.above(blind.CONSTANT, difference, low, 0.6, digits) == said
    assert blind.above("another", 0.0, 0.0, 0.0).startswith("CIDEr-D is 0.0000 above that of ano")


def test_intervals_are_told_with_what_they_mean() -> None:
    assert blind.verdict([]) == ""
    assert (
        blind.verdict([0.1, 0.2])
        == "Both intervals are above 0: the captions depend on the photos."
    )
    assert blind.verdict([0.1]) == "The interval is above 0: the captions depend on the photos."
    for lows, begins in (([0.1, 0.0], "Not every interval is"), ([-0.1], "The interval is not")):
        said = blind.verdict(lows)
        assert said.startswith(
            f"{begins} above 0: the captions may not depend on the photos. Train"
        )


def test_references_that_no_caption_can_be_as_long_as_are_told_with_what_they_cost() -> None:
    assert Lengths(5000, 0, 20).told_of_references(20) is None
    few, more = (Lengths(100, n, 38).told_of_references(20) for n in (5, 6))
    assert few is not None and few.startswith(
        "5 of 100 references have more than 20 words, the most that a caption of this run may have"
    )
    assert few.endswith("lowers the scores, but so few hardly matter.")
    assert more is not None and more.endswith("train with --set maximum_words=38.")
    one = Lengths(1, 1, 30).told_of_references(20)
    assert one is not None and one.startswith("1 of 1 reference has more than 20 words")


def test_a_caption_as_long_as_may_be_is_not_cut() -> None:
    assert lengths({"a": [[1, 2], [1, 2, 3]]}, 3) == Lengths(2, 0, 3)
    assert lengths({"a": [[1, 2], [1, 2, 3]]}, 2) == Lengths(2, 1, 3)
    assert lengths({}, 2) == Lengths(0, 0, 0)
    half, most = (Lengths(4, n, 9).told(8) for n in (2, 3))
    assert half is not None and "maximum_words=9" not in half
    assert most is not None and most.endswith("Set --set maximum_words=9")
