"""Dev scores: searched as the run searches, scored on every reference, the loss unsmoothed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log
from typing import Any

import pytest
import torch
from torch import nn

from miacap import metrics
from miacap.captioning import Row, rows, validation
from miacap.captioning.inputs import Inputs
from miacap.captioning.validation import WATCHED, DevScores
from miacap.captioning.words import encode
from miacap.decoding import SearchSettings
from miacap.runs import CrossEntropy
from miacap.runs.folder import build
from miacap.text import BOS, EOS

from .small import World, fit, make, settings

REFERENCES = {
    "p6": ("a dog and a cat", "the dog"),
    "p7": ("a cat and a bird", "the cat", "one dog"),
    "p8": ("a bird",),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("validation"))


@pytest.fixture(scope="module")
def dev(world: World) -> DevScores:
    """Of a run that smooths its labels, drops half of what it reads, and cuts at four words."""
    wanted = replace(
        settings("nic", "plain", dropout=0.5),
        objective=CrossEntropy(label_smoothing=0.3),
        maximum_words=4,
        minimum_words=2,
        beam=2,
        length_penalty=0.5,
        block_repeats=3,
        pictures_per_batch=2,
    )
    run = fit(world, world.root / "r", wanted, None, stop_after=1)
    return DevScores(run, Inputs.of_run(run, world.regions), REFERENCES)


@pytest.fixture
def module(dev: DevScores) -> nn.Module:
    torch.manual_seed(3)
    fresh: nn.Module = build(dev.run.settings, len(dev.run.vocabulary))
    return fresh.train()  # as it is in the middle of a training


@torch.no_grad()
def by_hand(dev: DevScores, module: Any) -> float:
    """Mean -log p of every word of every reference, cut as in training, in plain loops."""
    total, count = 0.0, 0
    for name, captions in encode(dev.run.vocabulary, REFERENCES).items():
        for caption in captions:
            words = caption[:4] if len(caption) > 4 else [*caption, EOS]
            read = torch.tensor([[[BOS, *words[:-1]]]])
            logits = module(dev.inputs.stored([name]), read)[0, 0].double()
            for time, word in enumerate(words):
                total -= log(float(logits[time].softmax(0)[word]))
                count += 1
    assert count == 4 + 3 + 4 + 3 + 3 + 3  # the first of p6 and of p7 are cut and have no end
    return total / count


def test_the_dev_loss_is_unsmoothed_and_of_the_module_at_rest(
    dev: DevScores, module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout and label smoothing belong to training; so does no search that came before."""
    monkeypatch.setattr(DevScores, "candidates", lambda *_: dict.fromkeys(REFERENCES, "a dog"))
    found = dev(module)["loss per word"]
    assert found == pytest.approx(by_hand(dev, module.eval()), rel=1e-5)
    assert found == dev(module.train())["loss per word"]


def test_the_search_has_the_runs_settings_and_a_module_at_rest(
    dev: DevScores, module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[bool, SearchSettings]] = []
    real = rows.search

    def search(captioner: nn.Module, pictures: Any, wanted: SearchSettings, rules: Any) -> Any:
        asked.append((captioner.training, wanted))
        return real(captioner, pictures, wanted, rules)

    monkeypatch.setattr(rows, "search", search)
    once = dev.candidates(module)
    assert asked == [
        (False, SearchSettings(beam=2, maximum_words=4, minimum_words=2, length_penalty=0.5,
                               block_repeats=3))
    ]  # fmt: skip
    assert list(once) == list(REFERENCES) and once == dev.candidates(module.train())


@pytest.mark.parametrize("captions", [["A dog.", "A dog.", "A dog."], ["A cat.", "", "A dog."]])
def test_scores_are_those_of_every_reference(
    dev: DevScores, module: nn.Module, monkeypatch: pytest.MonkeyPatch, captions: Sequence[str]
) -> None:
    def caption_rows(*_: object) -> Iterator[Row]:
        yield from map(Row, REFERENCES, captions)

    monkeypatch.setattr(validation, "caption_rows", caption_rows)
    found = dev(module)
    said = dict(zip(REFERENCES, captions, strict=True))
    wanted = metrics.score(REFERENCES, said, metrics=WATCHED)
    assert {name: found[name] for name in WATCHED} == {n: float(wanted[n]) for n in WATCHED}
    assert found["distinct"] == len(set(captions))
    names = {*WATCHED, "distinct", "bad endings", "repeats", "loss per word"}
    assert set(found) == names and WATCHED[-1] == "CIDEr-D"


def test_bad_endings_and_repeats_are_shares_of_the_captions(
    dev: DevScores, module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ("A dog on a", "A dog dog.", "A cat with.")
    monkeypatch.setattr(
        validation, "caption_rows", lambda *_: iter(list(map(Row, REFERENCES, said)))
    )
    found = dev(module)
    assert (found["bad endings"], found["repeats"]) == (2 / 3, 1 / 3)
