"""Ten steps of training leave the weights that a plain loop leaves: word by word, AdamW by hand."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from miacap.captioning import training as module
from miacap.data.batches import Batch
from miacap.runs.folder import build
from miacap.text import PAD
from miacap.training import TrainingSettings, fit

from .small import World, make, settings
from .small import fit as train

STEPS, RATE, DECAY, LONGEST = 10, 0.02, 0.03, 0.7
FIRST, SECOND, EPSILON = 0.9, 0.99, 1e-8
WARMUP = 3
TRAINING = TrainingSettings(
    epochs=5,
    learning_rate=RATE,
    betas=(FIRST, SECOND),
    weight_decay=DECAY,
    warmup_steps=WARMUP,
    clip_norm=LONGEST,
    threads=1,
    device="cpu",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("steps"))


def gradients(captioner: Any, batch: Batch) -> dict[str, Tensor]:
    """-d mean log p of a batch's words, read one at a time."""
    captioner.zero_grad()
    total, count = torch.zeros((), dtype=torch.float64), 0
    memory = captioner.encode(batch.pictures)
    state = captioner.start(memory, batch.words.shape[1])
    for time in range(batch.words.shape[2]):
        logits, state = captioner.step(memory, state, batch.words[:, :, time])
        shares = logits.double() - logits.double().exp().sum(dim=-1, keepdim=True).log()
        for picture, captions in enumerate(batch.targets[:, :, time].tolist()):
            for caption, word in enumerate(captions):
                if word != PAD:
                    total, count = total - shares[picture, caption, word], count + 1
    (total / count).backward()
    return {name: p.grad for name, p in captioner.named_parameters() if p.grad is not None}


def plainly(captioner: Any, batches: Iterator[Batch]) -> dict[str, Tensor]:
    """Give the weights after ten steps of AdamW; matrices alone are decayed."""
    middle: dict[str, Tensor] = {}
    square: dict[str, Tensor] = {}
    for step, batch in zip(range(STEPS), batches, strict=False):
        found = gradients(captioner, batch)
        length = math.sqrt(sum(float((g.double() ** 2).sum()) for g in found.values()))
        part = (step - WARMUP) / (STEPS - WARMUP)
        rate = RATE * ((step + 1) / WARMUP if step < WARMUP else (1 + math.cos(math.pi * part)) / 2)
        for name, weight in captioner.named_parameters():
            if name not in found:
                continue
            gradient = found[name] * min(1.0, LONGEST / length)
            middle[name] = FIRST * middle.get(name, 0) + (1 - FIRST) * gradient
            square[name] = SECOND * square.get(name, 0) + (1 - SECOND) * gradient**2
            first = middle[name] / (1 - FIRST ** (step + 1))
            second = square[name] / (1 - SECOND ** (step + 1))
            with torch.no_grad():
                if weight.ndim > 1:
                    weight *= 1 - rate * DECAY
                weight -= rate * first / (second.sqrt() + EPSILON)
    return {name: p.detach().clone() for name, p in captioner.named_parameters()}


@pytest.mark.parametrize("name", ["nic", "up-down"])
def test_ten_steps_leave_the_weights_of_a_plain_loop(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    wanted = replace(settings(name, "plain", dropout=0.0), training=TRAINING, pictures_per_batch=3)
    held: list[Any] = []

    def loop(task: Any, *_: object, **__: object) -> Any:
        held.append(task)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fit", loop)
    with pytest.raises(KeyboardInterrupt):
        train(world, tmp_path / "r", wanted, None)
    [task] = held
    assert task.batches_per_epoch * TRAINING.epochs == STEPS
    words = task.module.embedding.num_embeddings
    copy = build(replace(wanted, region_width=world.regions.manifest.width), words)
    copy.load_state_dict(task.module.state_dict())
    before = {key: p.detach().clone() for key, p in copy.named_parameters()}
    batches = (batch for epoch in range(TRAINING.epochs) for batch in task.batches(epoch, 0))
    expected = plainly(copy.train(), batches)
    better = iter(range(STEPS))  # so that the last weights are kept
    task.evaluate = lambda: {"CIDEr-D": float(next(better))}
    assert fit(task, TRAINING, tmp_path / "t", quiet=True).steps == STEPS
    found = dict(task.module.named_parameters())
    for key, weight in expected.items():
        assert torch.allclose(found[key], weight, atol=1e-5), key
        assert float((weight - before[key]).abs().max()) > 0.02, key
