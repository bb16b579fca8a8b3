"""What `evaluate` asks for and gives: settings, pictures set aside, controls, other concepts."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest

from miacap import captioning, runs
from miacap.captioning import Evaluation, Row, evaluation, rows
from miacap.captioning.evaluation import above_blind, search_settings
from miacap.captioning.inputs import Inputs
from miacap.decoding import SearchSettings
from miacap.metrics import DocumentFrequencies

from .small import DATA, World, extract_nothing, fit, make, settings, trained


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("evaluation"))


SEARCH: dict[str, Any] = {
    "beam": 2,
    "maximum_words": 5,
    "minimum_words": 2,
    "length_penalty": 0.5,
    "block_repeats": 2,
}


@pytest.fixture(scope="module")
def plain(world: World) -> runs.Run:
    run = replace(settings("nic", "plain"), **SEARCH)
    return fit(world, world.root / "plain", run, None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SearchSettings]:
    """The settings of every search from now on."""
    seen: list[SearchSettings] = []
    real = rows.search

    def search(captioner: Any, pictures: Any, wanted: SearchSettings, rules: Any) -> Any:
        seen.append(wanted)
        return real(captioner, pictures, wanted, rules)

    monkeypatch.setattr(rows, "search", search)
    return seen


def go(world: World, run: Any, split: str = "test", **more: Any) -> Evaluation:
    return captioning.evaluate(run, DATA, split, world.regions, quiet=True, **more)


def test_a_runs_search_has_every_setting_of_the_run(
    world: World, plain: runs.Run, asked: list[SearchSettings]
) -> None:
    assert set(SEARCH) == {field.name for field in fields(SearchSettings)}
    own = SearchSettings(**SEARCH)
    assert plain.settings.search == own == search_settings(plain, None)
    go(world, plain)
    go(world, plain, beam=1, length_penalty=0.0)  # 0 is asked for, too
    assert asked == [own, replace(own, beam=1, length_penalty=0.0)]


def test_rows_come_in_the_splits_order_and_errors_count_nowhere(
    world: World, plain: runs.Run
) -> None:
    broken = extract_nothing(world.root / "broken", aside=("p9", "p11"))
    result = captioning.evaluate(plain, DATA, "test", broken, quiet=True)
    assert [row.id for row in result.rows] == ["p9", "p10", "p11"]
    assert [row.error is None for row in result.rows] == [False, True, False]
    assert (result.captioned, result.distinct, result.empty) == (1, 1, 0)
    assert result.scores is not None and result.scores.ids == ("p10",)
    assert "its captions shuffled" not in result.controls  # one caption cannot be
    said = (Row("a", "", -1.0), Row("b", "A dog.", -1.0), Row("c", error="c: no"))
    counted = Evaluation((*said, Row("d", "A dog.", -1.0)), 2.0)
    assert (counted.captioned, counted.distinct, counted.empty) == (3, 2, 1)
    assert counted.rate == 1.5


def test_the_constant_caption_comes_from_the_training_captions(
    world: World, plain: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Mapping[str, Any]] = []
    real = evaluation.best_constant
    monkeypatch.setattr(evaluation, "best_constant", lambda c: given.append(c) or real(c))
    for split in ("dev", "test", "train"):
        assert set(go(world, plain, split).controls) == {
            "a constant caption", "its captions shuffled",
        }  # fmt: skip
    assert given == [DATA.split("train").captions] * 3
    assert go(world, plain, controls=False).controls == {} and len(given) == 3


def test_captions_that_are_right_lie_above_both_controls() -> None:
    references = {name: texts for name, texts in DATA.captions.items() if name in DATA.ids[:6]}
    right = {name: texts[0] for name, texts in references.items()}
    train = {"t": ["a wolf and an owl"], "u": []}
    found = above_blind(train, references, right)
    assert list(found) == ["a constant caption", "its captions shuffled"]
    assert all(interval.difference > 0 for interval in found.values())
    assert list(above_blind({"u": []}, references, right)) == ["its captions shuffled"]
    constant = dict.fromkeys(right, "a wolf and an owl")
    assert above_blind(train, references, constant)["a constant caption"].difference == 0


def test_the_metrics_that_were_asked_for_are_computed(world: World, plain: runs.Run) -> None:
    result = go(world, plain, metrics=("ROUGE-L",), controls=False)
    assert result.scores is not None and list(result.scores) == ["ROUGE-L"]


def test_a_reference_as_long_as_a_caption_may_be_is_not_longer(
    world: World, plain: runs.Run
) -> None:
    """Five words may be said: "a dog and a cat"."""
    assert go(world, plain, controls=False).longer_references == 0
    shorter = replace(plain, settings=replace(plain.settings, maximum_words=4))
    assert go(world, shorter, controls=False).longer_references == 3
    assert go(world, shorter, controls=False).references.longest == 5


@pytest.mark.parametrize("stored", [True, False])
def test_another_pictures_concepts_are_read_where_they_are_asked_for(
    world: World, stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of its own, from the folder and from the extractor alike."""
    folder = trained(world.root / f"c{stored}", world.regions)
    run = fit(world, world.root / f"r{stored}", settings(), folder)
    seen: dict[str, list[int]] = {}
    real = evaluation.caption_rows

    def caption_rows(captioner: Any, batches: Any, *more: Any, **named: Any) -> Any:
        batches = list(batches)
        for pictures in batches:
            seen.update(zip(pictures.names, pictures.concepts.tolist(), strict=True))
        return real(captioner, batches, *more, **named)

    monkeypatch.setattr(evaluation, "caption_rows", caption_rows)
    names = DATA.split("test").ids
    partners = dict(zip(names, (*names[1:], names[0]), strict=True))
    given = folder if stored else None
    own = Inputs.of_run(run, world.regions, given).stored(names).concepts.tolist()
    go(world, run, concepts=given, concepts_of=partners, controls=False)
    wanted = dict(zip(names, own, strict=True))
    assert seen == {name: wanted[partners[name]] for name in names}
    assert len({str(row) for row in own}) > 1


def test_stored_concepts_come_before_the_extractors(world: World) -> None:
    """On train they differ: those of the folder were scored out of fold."""
    folder = trained(world.root / "c-own", world.regions)
    run = fit(world, world.root / "r-own", settings(), folder, stop_after=1)
    other = trained(world.root / "c-other", world.regions, seed=1)  # stands for other folds
    one, two = (Inputs.of_run(run, world.regions, given).stored(DATA.ids) for given in
                (None, replace(folder, store=other.store)))  # fmt: skip
    assert one.concepts.tolist() != two.concepts.tolist()


def test_frequencies_that_are_fixed_reach_scores_and_controls(
    world: World, plain: runs.Run
) -> None:
    own = go(world, plain)
    captions = DATA.split("test").captions.values()
    same = go(world, plain, frequencies=DocumentFrequencies.of_captions(captions, "test"))
    assert own.scores is not None and same.scores is not None
    assert same.scores["CIDEr-D"] == own.scores["CIDEr-D"] and same.controls == own.controls
    assert "df:test/3" in same.scores.signature
    every = DocumentFrequencies.of_captions(DATA.captions.values(), "all")
    other = go(world, plain, frequencies=every)
    assert other.scores is not None and "df:all/12" in other.scores.signature
    assert other.scores["BLEU-4"] == own.scores["BLEU-4"]
    # Every candidate here is a reference of some picture, so the weights of its words count.
    assert other.controls != own.controls
