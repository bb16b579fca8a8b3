"""The sampled gradient estimates the expected one; every baseline in plain loops."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import sqrt
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from miacap.captioners.records import MemoryRecord, StateRecord
from miacap.captioning.self_critical import SelfCriticalTask, advantages, policy_loss
from miacap.data.batches import Batch
from miacap.decoding import MinimumLength, SearchSettings, beam
from miacap.pictures import Pictures, collate
from miacap.runs import SelfCritical
from miacap.text import BOS, EOS, PAD

WORDS, LIMIT = 7, 3
SEARCH = SearchSettings(beam=1, maximum_words=LIMIT, minimum_words=1)


@dataclass(frozen=True)
class Memory(MemoryRecord):
    scale: Tensor  # B: 1 at rest; under dropout 0 or 2, drawn once a picture


@dataclass(frozen=True)
class State(StateRecord):
    time: Tensor  # B x K


class Toy(nn.Module):
    """Logits by time and the word before, times what dropout leaves of a 1."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        # So flat that every caption is drawn often: a word that never comes has no spread.
        self.table = nn.Parameter(torch.randn(LIMIT, WORDS, WORDS, dtype=torch.float64) / 2)
        self.dropout = nn.Dropout(0.5)

    def encode(self, pictures: Pictures) -> Memory:
        return Memory(self.dropout(torch.ones(len(pictures), dtype=torch.float64)))

    def start(self, memory: Memory, hypotheses: int = 1) -> State:
        return State(torch.zeros(len(memory), hypotheses, dtype=torch.long))

    def step(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        logits = memory.scale[:, None, None] * self.table[state.time, words]
        return logits, State(state.time + 1)

    def forward(self, pictures: Pictures, words: Tensor, trace: bool = False) -> Tensor:
        memory = self.encode(pictures)
        state, logits = self.start(memory, words.shape[1]), []
        for time in range(words.shape[2]):
            step, state = self.step(memory, state, words[:, :, time])
            logits.append(step)
        return torch.stack(logits, dim=2)


def captions() -> Iterator[tuple[int, ...]]:
    """Every caption that can be drawn: of one word at least, ended or cut at the limit."""
    said = range(4, WORDS)
    for length in range(1, LIMIT):
        yield from ((*words, EOS) for words in product(said, repeat=length))
    yield from product(said, repeat=LIMIT)


_DRAWN = np.random.default_rng(3)
WORTH = {caption: float(_DRAWN.uniform(0, 2)) for caption in captions()}
NOTHING = 99.0
"""Reward of an empty caption, which only stands where a beam found fewer hypotheses."""


class Worth:
    """Stands for `Reward`: what each caption is worth."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def scores(self, names: Any, words: Tensor) -> dict[str, np.ndarray]:
        self.seen.append(words)
        said = [[tuple(w for w in row if w != PAD) for row in rows] for rows in words.tolist()]
        return {"worth": np.array([[WORTH[c] if c else NOTHING for c in row] for row in said])}

    def total(self, scores: dict[str, np.ndarray]) -> np.ndarray:
        return scores["worth"]

    def told(self, *arguments: Any) -> dict[str, tuple[float, float]]:
        return {}


def probability(module: Toy, caption: tuple[int, ...], scale: float = 1.0) -> Tensor:
    """p of one caption under the policy, in plain loops."""
    total, before = torch.ones((), dtype=torch.float64), BOS
    for time, word in enumerate(caption):
        logits = scale * module.table[time, before]
        may = [*range(4, WORDS)] + ([EOS] if time else [])  # one word at least
        total = total * logits[word].exp() / sum(logits[w].exp() for w in may)
        before = word
    return total


def expected(module: Toy, scales: tuple[float, ...] = (1.0,)) -> Tensor:
    """-d E[r] / d table, every caption enumerated, under each dropout."""
    module.zero_grad()
    for scale in scales:
        value = sum(probability(module, c, scale) * WORTH[c] for c in captions())
        assert isinstance(value, Tensor)
        (-value / len(scales)).backward()
    assert module.table.grad is not None
    return module.table.grad.clone()


def pictures(number: int) -> Pictures:
    return collate([str(index) for index in range(number)], [torch.zeros(1, 1)] * number)


def task(module: nn.Module, **settings: Any) -> SelfCriticalTask:
    none: Any = None
    return SelfCriticalTask(module, none, Worth(), none, SEARCH, SelfCritical(**settings))  # type: ignore[arg-type]


def gradients(module: Toy, settings: dict[str, Any], draws: int, number: int = 50) -> Tensor:
    """Draws of the gradient of the summed loss, a caption: draws x parameters."""
    empty = torch.zeros(number, 0, 0, dtype=torch.long)
    batch = Batch(pictures(number), empty, empty)
    chosen, found = task(module, **settings), []
    for _ in range(draws):
        module.zero_grad()
        loss, _ = chosen.loss(module.train(), batch)
        loss.backward()
        assert module.table.grad is not None
        found.append(module.table.grad / (number * chosen.objective.samples))
    return torch.stack(found)


@pytest.mark.parametrize(
    ("settings", "scales"),
    [
        ({"baseline": "mean", "samples": 5}, (1.0,)),
        ({"baseline": "mean", "samples": 2}, (1.0,)),
        ({"baseline": "greedy", "samples": 3}, (1.0,)),
        ({"baseline": "greedy", "samples": 1}, (1.0,)),
        ({"baseline": "mean", "samples": 5, "dropout": True}, (0.0, 2.0)),
        ({"baseline": "greedy", "samples": 2, "dropout": True}, (0.0, 2.0)),
    ],
)
def test_the_sampled_gradient_estimates_the_expected_one(
    settings: dict[str, Any], scales: tuple[float, ...]
) -> None:
    module = Toy()
    wanted = expected(module, scales)
    torch.manual_seed(2)
    draws = 30
    found = gradients(module, settings, draws)
    mean, error = found.mean(dim=0), found.std(dim=0) / sqrt(draws)
    moved = error > 0
    assert torch.equal(moved, wanted != 0)
    off = ((mean - wanted)[moved] / error[moved]).abs()
    assert float(off.max()) < 4.5
    # It could have failed: most of the gradient lies far outside of 0's interval.
    assert float(((mean / error)[moved].abs() > 4.5).double().mean()) > 0.3


def test_greedys_baseline_is_the_reward_of_the_greedy_caption() -> None:
    """Any number would leave the expected gradient as it is: this is the one, in plain loops."""
    module, kept, none = Toy(), Worth(), cast(Any, None)
    with torch.no_grad():
        module.table[0, BOS, EOS] = 9.0  # what greedy search would say at once, if it could
    best: list[int] = []
    while len(best) < LIMIT and EOS not in best:
        row = module.table[len(best), best[-1] if best else BOS].detach()
        may = [*range(4, WORDS)] + ([EOS] if best else [])
        best.append(max(may, key=lambda word: float(row[word])))
    chosen = SelfCritical(baseline="greedy", samples=2)
    one = SelfCriticalTask(module, none, cast(Any, kept), none, SEARCH, chosen)
    torch.manual_seed(0)
    empty = torch.zeros(5, 0, 0, dtype=torch.long)
    loss, _ = one.loss(module.train(), Batch(pictures(5), empty, empty))
    drawn, said = ([tuple(w for w in row if w != PAD) for row in words.flatten(0, 1).tolist()]
                   for words in kept.seen)  # fmt: skip
    assert said == [tuple(best)] * 5 and len({*drawn}) > 3
    above = [WORTH[caption] - WORTH[tuple(best)] for caption in drawn]
    gains = [float(probability(module, caption).log().detach()) for caption in drawn]
    wanted = -sum(a * gain for a, gain in zip(above, gains, strict=True))
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-9)
    likely, count = one.told.parts["log-probability"]
    assert float(likely) == pytest.approx(sum(gains), rel=1e-9)
    assert (int(count), one.told.number) == (sum(map(len, drawn)), len(drawn))


def test_a_beams_hypotheses_are_held_against_their_mean() -> None:
    """No estimate of the expected gradient: the sum over the hypotheses, in plain loops."""
    module = Toy()
    [found] = beam(module, pictures(1), 4, LIMIT, 4, (MinimumLength(1),))
    said = [(*h.words, EOS) if h.ended else h.words for h in found]
    assert len(said) == len(set(said)) == 2  # of the four that were asked for
    middle = sum(WORTH[c] for c in said) / 2
    module.zero_grad()
    loss = sum(-(WORTH[c] - middle) * probability(module, c).log() for c in said)
    assert isinstance(loss, Tensor)
    loss.backward()
    assert module.table.grad is not None
    wanted = module.table.grad.clone() / 4
    got = gradients(module, {"baseline": "beam", "samples": 4}, draws=1, number=3)[0]
    assert torch.allclose(got, wanted, atol=1e-12) and float(wanted.abs().max()) > 1e-3


@pytest.mark.parametrize("baseline", ["mean", "greedy", "beam"])
def test_equal_rewards_teach_nothing(monkeypatch: pytest.MonkeyPatch, baseline: str) -> None:
    for caption in WORTH:
        monkeypatch.setitem(WORTH, caption, 0.1)
    found = gradients(Toy(), {"baseline": baseline, "samples": 3}, draws=2)
    assert float(found.abs().max()) == 0.0


def test_advantages_in_plain_loops() -> None:
    rewards = torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for baseline in ("mean", "beam"):
        found = advantages(rewards, baseline)
        assert float(found.sum(dim=1).abs().max()) < 1e-14
        for row, ours in zip(rewards.tolist(), found.tolist(), strict=True):
            for k, value in enumerate(row):
                others = [r for j, r in enumerate(row) if j != k or baseline == "beam"]
                assert ours[k] == pytest.approx(value - sum(others) / len(others), abs=1e-14)
    own = torch.rand(6, 1, dtype=torch.float64)
    assert torch.equal(advantages(rewards, "greedy", own), rewards - own)


def test_a_beam_of_fewer_hypotheses_has_the_mean_of_those() -> None:
    rewards = torch.tensor([[1.0, 3.0, 9.0], [2.0, 9.0, 9.0]])
    real = torch.tensor([[True, True, False], [True, False, False]])
    found = advantages(rewards, "beam", real=real)
    assert found.tolist() == [[-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_the_loss_counts_the_first_end_and_nothing_after_it() -> None:
    gains = torch.full((1, 2, 4), -2.0, requires_grad=True)
    mask = torch.tensor([[[True, True, False, False], [True, True, True, True]]])
    loss = policy_loss(gains, torch.tensor([[0.5, -1.0]]), mask)
    assert float(loss.detach()) == pytest.approx(0.5 * 2 * 2.0 - 1.0 * 4 * 2.0)
    loss.backward()
    assert gains.grad is not None
    assert gains.grad.tolist() == [[[-0.5, -0.5, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]]


@pytest.mark.parametrize("dropout", [False, True])
def test_the_weight_is_the_number_of_words_and_first_ends(dropout: bool) -> None:
    module, kept = Toy(), Worth()
    none: Any = None
    chosen = SelfCritical(samples=4, dropout=dropout)
    one = SelfCriticalTask(module, none, kept, none, SEARCH, chosen)  # type: ignore[arg-type]
    empty = torch.zeros(9, 0, 0, dtype=torch.long)
    torch.manual_seed(0)
    _, weight = one.loss(module.train(), Batch(pictures(9), empty, empty))
    words = [[w for w in row if w != PAD] for row in kept.seen[0].flatten(0, 1).tolist()]
    assert int(weight) == sum(map(len, words)) > 36
    assert any(row[-1] == EOS for row in words) and any(len(row) == LIMIT for row in words)
    assert all(EOS not in row[:-1] for row in words)
    assert module.dropout.training  # the module is left as it came
