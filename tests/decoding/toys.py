"""Captioners of few words whose every probability is known, and searches as plain loops."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from miacap.captioners.records import MemoryRecord, StateRecord
from miacap.decoding import Hypothesis
from miacap.pictures import Pictures, collate
from miacap.text.vocabulary import BOS, EOS, PAD, UNK

CODES = 101


@dataclass(frozen=True)
class ToyMemory(MemoryRecord):
    tables: Tensor  # B x CODES x W


@dataclass(frozen=True)
class ToyState(StateRecord):
    codes: Tensor  # B x K: a number for the whole prefix


class Toy(nn.Module):
    """Logits are looked up by a number that stands for all words so far."""

    def __init__(self, words: int, seed: int = 0, sharpness: float = 2.0, end: float = 0.0) -> None:
        super().__init__()
        self.words, self.seed, self.sharpness, self.end = words, seed, sharpness, end
        self.dropout = nn.Dropout(0.5)  # must not act while searching
        self.busy: list[int] = []

    def table(self, name: str) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1000 + int(name))
        table = torch.randn(CODES, self.words, generator=generator, dtype=torch.float64)
        table = table * self.sharpness
        table[:, EOS] += self.end
        return table

    def encode(self, pictures: Pictures) -> ToyMemory:
        return ToyMemory(torch.stack([self.table(name) for name in pictures.names]))

    def start(self, memory: ToyMemory, hypotheses: int = 1) -> ToyState:
        return ToyState(torch.zeros(len(memory), hypotheses, dtype=torch.long))

    def step(self, memory: ToyMemory, state: ToyState, words: Tensor) -> tuple[Tensor, ToyState]:
        self.busy.append(len(memory))
        codes = (state.codes * 31 + words + 7) % CODES
        logits = memory.tables.gather(1, codes[:, :, None].expand(-1, -1, self.words))
        return self.dropout(logits), ToyState(codes)

    def forward(self, pictures: Pictures, words: Tensor, trace: bool = False) -> Tensor:
        raise NotImplementedError


def pictures(count: int) -> Pictures:
    return collate([str(index) for index in range(count)], [torch.zeros(1, 1)] * count)


def log_probabilities(table: list[list[float]], prefix: tuple[int, ...]) -> list[float]:
    code = 0
    for word in (BOS, *prefix):
        code = (code * 31 + word + 7) % CODES
    total = math.log(sum(math.exp(x) for x in table[code]))
    return [x - total for x in table[code]]


PlainRule = Callable[[list[float], tuple[int, ...], int], list[float]]
"""A rule as a plain function of logits, the words so far and the remaining steps."""


def gains_after(
    table: list[list[float]], prefix: tuple[int, ...], remaining: int, rules: Sequence[PlainRule]
) -> dict[int, float]:
    """Log-probabilities of the words that rules leave, not renormalised."""
    gains = log_probabilities(table, prefix)
    left = [-math.inf if word in (PAD, BOS, UNK) else gain for word, gain in enumerate(gains)]
    for rule in rules:
        left = rule(left, prefix, remaining)
    return {word: gains[word] for word, gain in enumerate(left) if gain > -math.inf}


def plain_beam(
    table: list[list[float]],
    width: int,
    maximum: int,
    best: int,
    rules: Sequence[PlainRule] = (),
    penalty: float = 0.0,
) -> list[Hypothesis]:
    """Beam search of one picture, written from its rules as plain loops."""
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    done: list[tuple[float, float, tuple[int, ...]]] = []
    for time in range(maximum):
        every = [
            (total + gain, (*prefix, word))
            for total, prefix in live
            for word, gain in gains_after(table, prefix, maximum - 1 - time, rules).items()
        ]
        every.sort(key=lambda pair: -pair[0])
        for total, words in every[:width]:
            if words[-1] == EOS:
                done.append((total / len(words) ** penalty, total, words[:-1]))
        done.sort(key=lambda triple: -triple[0])
        live = [pair for pair in every if pair[1][-1] != EOS][:width]
        if not live:
            break
        if len(done) >= width and done[width - 1][0] >= live[0][0] / maximum**penalty:
            break
    if done:
        return [Hypothesis(words, total, True) for _, total, words in done[:best]]
    return [Hypothesis(words, total, False) for total, words in live[:best]]


def brute_force(
    table: list[list[float]], maximum: int, rules: Sequence[PlainRule], penalty: float
) -> list[Hypothesis]:
    """Every caption that ends within the limit, best score first; if none does, every cut one."""
    done: list[tuple[float, Hypothesis]] = []
    live: list[Hypothesis] = [Hypothesis((), 0.0, False)]
    for time in range(maximum):
        longer = []
        for h in live:
            for word, gain in gains_after(table, h.words, maximum - 1 - time, rules).items():
                total = h.log_probability + gain
                if word == EOS:
                    score = total / (len(h.words) + 1) ** penalty
                    done.append((score, Hypothesis(h.words, total, True)))
                else:
                    longer.append(Hypothesis((*h.words, word), total, False))
        live = longer
    if done:
        return [hypothesis for _, hypothesis in sorted(done, key=lambda pair: -pair[0])]
    return sorted(live, key=lambda hypothesis: -hypothesis.log_probability)


def same(got: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [(f.words, f.ended) for f in got] == [(f.words, f.ended) for f in expected]
    for one, other in zip(got, expected, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-9)


@dataclass(frozen=True)
class KnownMemory(MemoryRecord):
    pictures: Tensor  # B: which picture a row is


@dataclass(frozen=True)
class KnownState(StateRecord):
    pictures: Tensor  # B x K: which picture a hypothesis belongs to
    words: Tensor  # B x K x T: what it said, BOS first


class Known(nn.Module):
    """Logits are what a function says of a picture and all words so far.

    It refuses to go on where memory and states have come apart.
    """

    def __init__(self, logits: Callable[[int, tuple[int, ...]], Sequence[float]]) -> None:
        super().__init__()
        self.logits = logits
        self.widths: list[int] = []
        self.busy: list[int] = []
        self.dtype = torch.float64

    def encode(self, pictures: Pictures) -> KnownMemory:
        return KnownMemory(torch.tensor([int(name) for name in pictures.names]))

    def start(self, memory: KnownMemory, hypotheses: int = 1) -> KnownState:
        held = memory.pictures[:, None].repeat(1, hypotheses)
        return KnownState(held, torch.zeros(*held.shape, 0, dtype=torch.long))

    def step(
        self, memory: KnownMemory, state: KnownState, words: Tensor
    ) -> tuple[Tensor, KnownState]:
        assert torch.equal(state.pictures, memory.pictures[:, None].expand_as(words))
        self.widths.append(words.shape[1])
        self.busy.append(len(memory))
        said = torch.cat([state.words, words[:, :, None]], dim=2)
        logits = [
            [self.logits(int(picture), tuple(prefix[1:])) for prefix in row]
            for picture, row in zip(memory.pictures, said.tolist(), strict=True)
        ]
        return torch.tensor(logits, dtype=self.dtype), KnownState(state.pictures, said)

    def forward(self, pictures: Pictures, words: Tensor, trace: bool = False) -> Tensor:
        memory = self.encode(pictures)
        state, logits = self.start(memory, words.shape[1]), []
        for time in range(words.shape[2]):
            step, state = self.step(memory, state, words[:, :, time])
            logits.append(step)
        return torch.stack(logits, dim=2)


def logs(**shares: float) -> list[float]:
    """Logits from probabilities: `end` is EOS, `a` to `z` are the words 4, 5, ...

    What is not named has probability 0; PAD, BOS and UNK have e^-20, so that they can be told
    from words that cannot come.
    """
    width = 4 + max([ord(name) - ord("a") + 1 for name in shares if name != "end"], default=0)
    row = [-math.inf] * width
    row[PAD] = row[BOS] = row[UNK] = -20.0
    for name, share in shares.items():
        row[EOS if name == "end" else 4 + ord(name) - ord("a")] = math.log(share)
    return row


def said(hypothesis: Hypothesis) -> str:
    """The words as letters, a full stop where the caption ended."""
    letters = "".join(chr(ord("a") + word - 4) for word in hypothesis.words)
    return letters + "." * hypothesis.ended
