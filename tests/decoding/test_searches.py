"""Searches on a toy captioner whose every prefix has its own distribution."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from miacap.captioners.records import MemoryRecord, StateRecord
from miacap.decoding import BANNED, Found, beam, greedy, sample
from miacap.errors import SettingsError
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
    return collate([str(place) for place in range(count)], [torch.zeros(1, 1)] * count)


def log_probabilities(table: list[list[float]], prefix: tuple[int, ...]) -> list[float]:
    code = 0
    for word in (BOS, *prefix):
        code = (code * 31 + word + 7) % CODES
    total = math.log(sum(math.exp(x) for x in table[code]))
    return [x - total for x in table[code]]


def plain_beam(table: list[list[float]], width: int, maximum: int, best: int) -> list[Found]:
    """Beam search of one picture, written from its rules as plain loops."""
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    done: list[tuple[float, tuple[int, ...]]] = []
    for _ in range(maximum):
        every = [
            (score + gain, (*prefix, word))
            for score, prefix in live
            for word, gain in enumerate(log_probabilities(table, prefix))
            if word not in (PAD, BOS, UNK)
        ]
        every.sort(key=lambda pair: -pair[0])
        done += [(score, words[:-1]) for score, words in every[:width] if words[-1] == EOS]
        done.sort(key=lambda pair: -pair[0])
        live = [pair for pair in every if pair[1][-1] != EOS][:width]
        if not live or (len(done) >= width and done[width - 1][0] >= live[0][0]):
            break
    kept, ended = (done, True) if done else (live, False)
    return [Found(words, score, ended) for score, words in kept[:best]]


def same(got: list[Found], expected: list[Found]) -> None:
    assert [(f.words, f.ended) for f in got] == [(f.words, f.ended) for f in expected]
    for one, other in zip(got, expected, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    words=st.integers(5, 12),
    width=st.integers(1, 6),
    maximum=st.integers(1, 9),
    end=st.floats(-4, 4),
    count=st.integers(1, 12),
)
def test_beams_equal_plain_loops(
    seed: int, words: int, width: int, maximum: int, end: float, count: int
) -> None:
    toy = Toy(words, seed, end=end)
    got = beam(toy, pictures(count), width=width, maximum=maximum, best=width)
    for place in range(count):
        expected = plain_beam(toy.table(str(place)).tolist(), width, maximum, width)
        same(got[place], expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), end=st.floats(-3, 3), maximum=st.integers(1, 12))
def test_a_beam_of_one_is_greedy(seed: int, end: float, maximum: int) -> None:
    toy = Toy(9, seed, end=end)
    found = greedy(toy, pictures(5), maximum=maximum)
    for one, other in zip(found, beam(toy, pictures(5), width=1, maximum=maximum), strict=True):
        same([one], other)


@pytest.mark.parametrize("end", [-2.0, 0.0, 2.0])
def test_a_beam_of_all_prefixes_is_brute_force(end: float) -> None:
    words, maximum = 7, 4  # three words beside EOS and the banned ones
    toy = Toy(words, seed=5, end=end)
    found = beam(toy, pictures(6), width=4 ** (maximum - 1) * 4, maximum=maximum, best=3)
    for place in range(6):
        table = toy.table(str(place)).tolist()
        every: list[Found] = []
        for length in range(maximum):
            for prefix in itertools.product((4, 5, 6), repeat=length):
                total = sum(
                    log_probabilities(table, prefix[:k])[word] for k, word in enumerate(prefix)
                )
                total += log_probabilities(table, prefix)[EOS]
                every.append(Found(prefix, total, True))
        every.sort(key=lambda f: -f.log_probability)
        same(found[place], every[:3])


def test_greedy_equals_a_plain_loop() -> None:
    toy = Toy(11, seed=3, end=0.5)
    for place, found in enumerate(greedy(toy, pictures(9), maximum=8)):
        table, words, total, ended = toy.table(str(place)).tolist(), (), 0.0, False
        for _ in range(8):
            gains = log_probabilities(table, words)
            word = max((w for w in range(11) if w not in BANNED), key=gains.__getitem__)
            total += gains[word]
            if word == EOS:
                ended = True
                break
            words = (*words, word)
        same([found], [Found(words, total, ended)])


def test_what_is_banned_never_comes_out_and_is_not_renormalised() -> None:
    toy = Toy(5, seed=1)  # one word and EOS beside the banned ones
    original = toy.table

    def likely_banned(name: str) -> Tensor:
        table = original(name).clone()
        table[:, list(BANNED)] += 20.0
        return table

    toy.table = likely_banned  # type: ignore[method-assign]
    batch = pictures(4)
    every = [
        *greedy(toy, batch),
        *[f for row in beam(toy, batch, width=3, best=3) for f in row],
        *[f for row in sample(toy, batch) for f in row],
    ]
    for found in every:
        assert set(found.words) <= {4}
        # All but e^-20 of every step's probability lies on banned words.
        assert found.log_probability < -8.0 * (len(found.words) + found.ended)


def test_captions_at_the_limit_are_marked_as_unended() -> None:
    toy = Toy(9, end=-50.0)
    for found in (
        *greedy(toy, pictures(3), maximum=6),
        *[f[0] for f in beam(toy, pictures(3), maximum=6)],
    ):
        assert len(found.words) == 6
        assert not found.ended


def test_pictures_that_are_done_leave_the_batch() -> None:
    toy = Toy(9, seed=2, end=1.5)
    beam(toy, pictures(64), width=3, maximum=20)
    assert toy.busy[0] == 64
    assert toy.busy[-1] < 32
    toy.busy.clear()
    greedy(toy, pictures(64), maximum=20)
    assert toy.busy[-1] < 16


def test_the_batch_does_not_matter() -> None:
    toy = Toy(9, seed=4, end=0.5)
    together = beam(toy, pictures(20), width=4, best=2)
    for place in (0, 7, 19):
        alone = beam(toy, pictures(20).select([place]), width=4, best=2)
        same(alone[0], together[place])


def test_samples_follow_the_distribution() -> None:
    toy = Toy(7, seed=6, sharpness=1.0)
    found = sample(toy, pictures(1), hypotheses=20_000, maximum=1, seed=1)[0]
    gains = log_probabilities(toy.table("0").tolist(), ())
    allowed = {word: math.exp(gains[word]) for word in range(7) if word not in BANNED}
    for word, share in allowed.items():
        wanted = share / sum(allowed.values())
        seen = sum((f.words == () if word == EOS else f.words == (word,)) for f in found) / 20_000
        assert abs(seen - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / 20_000)
        for one in found:
            if one.words == (word,):
                assert one.log_probability == pytest.approx(gains[word])
                break


def test_samples_depend_on_the_seed_alone() -> None:
    toy = Toy(9, seed=7)
    one, again = (sample(toy, pictures(3), hypotheses=4, seed=5) for _ in range(2))
    assert one == again
    assert sample(toy, pictures(3), hypotheses=4, seed=6) != one
    assert all(len(row) == 4 for row in one)
    table = toy.table("1").tolist()
    for found in one[1]:
        words = (*found.words, EOS) if found.ended else found.words
        total = sum(log_probabilities(table, words[:k])[word] for k, word in enumerate(words))
        assert found.log_probability == pytest.approx(total)


def test_searching_leaves_the_captioner_as_it_was() -> None:
    toy = Toy(9).train()
    toy.dropout.eval()
    greedy(toy, pictures(1))
    assert toy.training and not toy.dropout.training
    assert greedy(toy.train(), pictures(1)) == greedy(toy.eval(), pictures(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width is at least 1, not 0"),
        ({"maximum": 0}, "maximum is at least 1"),
        ({"best": 0}, "best is at least 1"),
        ({"width": 2, "best": 3}, "width 2 cannot give the best 3"),
    ],
)
def test_numbers_that_make_no_search(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        beam(Toy(9), pictures(1), **arguments)
