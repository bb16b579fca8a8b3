"""Scheduled sampling in plain loops, and what it leaves alone."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from miacap.captioning import cross_entropy
from miacap.captioning import scheduled_sampling as module
from miacap.captioning.inputs import Inputs, Wanted
from miacap.captioning.scheduled_sampling import scheduled_logits, share
from miacap.data.batches import Batch
from miacap.errors import SettingsError
from miacap.pictures import collate
from miacap.runs import CrossEntropy, RunSettings
from miacap.runs.folder import build
from miacap.text import BOS, PAD, UNK

from .small import DATA, WIDTH, World, fit, make, settings

WORDS = 9


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("scheduled"))


def test_the_share_grows_to_its_most() -> None:
    """[train:scheduled-sampling] with the numbers of public code: none for five epochs, then .05
    more every five; worked by hand."""
    common = CrossEntropy(sampling_most=0.25)
    found = [share(common, epoch) for epoch in (0, 4, 5, 9, 10, 14, 15, 19, 20, 24, 25, 29, 99)]
    wanted = [0, 0, 0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2, 0.25, 0.25, 0.25]
    assert found == pytest.approx(wanted)
    later = CrossEntropy(sampling_most=0.5, sampling_increase=0.3, sampling_every=2,
                         sampling_begin=3)  # fmt: skip
    assert [share(later, e) for e in range(8)] == [0, 0, 0, 0, 0, 0.3, 0.3, 0.5]
    assert [share(CrossEntropy(), epoch) for epoch in range(9)] == [0.0] * 9


@pytest.mark.parametrize("name", ["up-down", "transformer", "adaptive"])
def test_what_is_read_is_what_is_predicted_from(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logits are those of `forward` on the words that were read; targets play no part."""
    more = {"layers": 1, "layer_heads": 2, "layer_inner": 8} if name == "transformer" else {}
    torch.manual_seed(0)
    made = build(replace(settings(name, "plain", **more), region_width=WIDTH), WORDS).eval()
    wanted = Wanted.of(replace(settings(name, "plain", **more), region_width=WIDTH))
    pictures = Inputs(wanted, None, world.regions).stored(DATA.ids[:3])
    words = torch.randint(4, WORDS, (3, 2, 5))
    words[:, :, 0] = BOS
    words[1, 1, 3:] = PAD
    read = [words[:, :, 0]]
    real = module._next

    def noted(*given: Any) -> Tensor:
        read.append(real(*given))
        return read[-1]

    monkeypatch.setattr(module, "_next", noted)
    for probability in (0.0, 0.5, 1.0):
        del read[1:]
        logits = scheduled_logits(made, pictures, words, probability)
        seen = torch.stack(read, dim=2)
        assert torch.allclose(logits, made(pictures, seen), atol=1e-5)
        assert bool((seen[words == PAD] == PAD).all())
        if probability == 0.0:
            assert torch.equal(seen, words)
        elif probability == 1.0:
            assert not torch.equal(seen, words)
        loss = logits.sum()
        loss.backward()


def test_draws_follow_the_distribution_of_the_step_before() -> None:
    torch.manual_seed(1)
    logits = torch.randn(1, 1, WORDS)
    many = logits.expand(1, 20_000, WORDS)
    words = torch.full((1, 20_000), 5)
    before = torch.full((1, 20_000, 1), BOS)
    found = module._next(words, many, before, 1.0)[0]
    kept = logits[0, 0].clone()
    kept[[PAD, BOS, UNK]] = -torch.inf
    wanted = kept.softmax(0)
    seen = torch.bincount(found, minlength=WORDS) / 20_000
    assert float((seen - wanted).abs().max()) < 4 * 0.5 / 20_000**0.5
    half = module._next(torch.full((1, 20_000), PAD + 8), many, before, 0.3)[0]
    stayed = 0.7 + 0.3 * float(wanted[8])
    assert float((half == 8).float().mean()) == pytest.approx(stayed, abs=0.015)


def test_the_share_is_that_of_the_epoch_whose_batches_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares: list[float] = []

    def noted(module: Any, pictures: Any, words: Tensor, share: float) -> Tensor:
        shares.append(share)
        return torch.zeros(*words.shape, WORDS)

    monkeypatch.setattr(cross_entropy, "scheduled_logits", noted)
    words = torch.tensor([[[BOS, 5]]])
    batch = Batch(collate(["1"], [torch.zeros(1, 1)]), words, words)
    train = SimpleNamespace(epoch=lambda number, skip, part: iter([batch]))
    plain: Any = lambda pictures, words: torch.zeros(*words.shape, WORDS)  # noqa: E731
    objective = CrossEntropy(sampling_most=1.0, sampling_increase=0.25, sampling_every=1)
    task = cross_entropy.CrossEntropyTask(plain, cast(Any, train), cast(Any, None), objective)
    for epoch in (0, 1, 2, 1):
        [given] = task.batches(epoch, 0)
        assert given is not None
        task.loss(plain, given)
    assert shares == [0.25, 0.5, 0.25]  # epochs count from 0, which draws nothing


def test_it_trains_and_resumes_to_the_bit(world: World, tmp_path: Path) -> None:
    run = settings("nic", "plain", dropout=0.2)
    training = replace(run.training, epochs=3, learning_rate=0.02)
    objective = CrossEntropy(sampling_most=0.5, sampling_increase=0.5, sampling_every=1)
    wanted: RunSettings = replace(run, training=training, objective=objective)
    fit(world, tmp_path / "whole", wanted, None)
    for _ in range(3):
        torch.rand(3)
        fit(world, tmp_path / "pieces", wanted, None, stop_after=1)
    fit(world, tmp_path / "pieces", wanted, None)
    fit(world, tmp_path / "without", replace(wanted, objective=CrossEntropy()), None)
    one, other, without = (
        sorted((tmp_path / name / "checkpoints").glob("step-*.safetensors"))[-1].read_bytes()
        for name in ("whole", "pieces", "without")
    )
    assert one == other != without


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampling_most": 1.1}, "sampling_most is at most 1"),
        ({"sampling_every": 0}, "sampling_every is at least 1"),
        ({"sampling_most": 0.2, "regulariser": 0.1}, "word by word: set sampling_most or"),
    ],
)
def test_settings_without_sense_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CrossEntropy(**values)
