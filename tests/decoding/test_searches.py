"""Searches on a toy captioner whose every prefix has its own distribution."""

import itertools

import pytest
from decoding_toys import Toy, log_probabilities, pictures, plain_beam, same
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from miacap.decoding import BANNED, Hypothesis, beam, greedy, sample
from miacap.errors import SettingsError
from miacap.text.vocabulary import EOS


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
    for index in range(count):
        expected = plain_beam(toy.table(str(index)).tolist(), width, maximum, width)
        same(got[index], expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), end=st.floats(-3, 3), maximum=st.integers(1, 12))
def test_a_beam_of_one_is_greedy(seed: int, end: float, maximum: int) -> None:
    toy = Toy(9, seed, end=end)
    result = greedy(toy, pictures(5), maximum=maximum)
    for one, other in zip(result, beam(toy, pictures(5), width=1, maximum=maximum), strict=True):
        same([one], other)


@pytest.mark.parametrize("end", [-2.0, 0.0, 2.0])
def test_a_beam_of_all_prefixes_is_brute_force(end: float) -> None:
    words, maximum = 7, 4  # three words beside EOS and the banned ones
    toy = Toy(words, seed=5, end=end)
    result = beam(toy, pictures(6), width=4 ** (maximum - 1) * 4, maximum=maximum, best=3)
    for index in range(6):
        table = toy.table(str(index)).tolist()
        every: list[Hypothesis] = []
        for length in range(maximum):
            for prefix in itertools.product((4, 5, 6), repeat=length):
                total = sum(
                    log_probabilities(table, prefix[:k])[word] for k, word in enumerate(prefix)
                )
                total += log_probabilities(table, prefix)[EOS]
                every.append(Hypothesis(prefix, total, True))
        every.sort(key=lambda f: -f.log_probability)
        same(result[index], every[:3])


def test_greedy_equals_a_plain_loop() -> None:
    toy = Toy(11, seed=3, end=0.5)
    for index, result in enumerate(greedy(toy, pictures(9), maximum=8)):
        table, words, total, ended = toy.table(str(index)).tolist(), (), 0.0, False
        for _ in range(8):
            gains = log_probabilities(table, words)
            word = max((w for w in range(11) if w not in BANNED), key=gains.__getitem__)
            total += gains[word]
            if word == EOS:
                ended = True
                break
            words = (*words, word)
        same([result], [Hypothesis(words, total, ended)])


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
    ]
    for result in every:
        assert set(result.words) <= {4}
        # All but e^-20 of every step's probability lies on banned words.
        assert result.log_probability < -8.0 * (len(result.words) + result.ended)
    for row in sample(toy, batch).hypotheses():
        for drawn in row:
            assert set(drawn.words) <= {4}
            # The policy that is sampled knows the word and EOS alone: it is renormalised.
            assert drawn.log_probability > -8.0 * (len(drawn.words) + drawn.ended)


def test_captions_at_the_limit_are_marked_as_unended() -> None:
    toy = Toy(9, end=-50.0)
    for result in (
        *greedy(toy, pictures(3), maximum=6),
        *[f[0] for f in beam(toy, pictures(3), maximum=6)],
    ):
        assert len(result.words) == 6
        assert not result.ended


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
    for index in (0, 7, 19):
        alone = beam(toy, pictures(20).select([index]), width=4, best=2)
        same(alone[0], together[index])


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
