"""Beam search under rules and length normalisation against plain loops and all captions."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from decoding_toys import PlainRule, Toy, brute_force, pictures, plain_beam, same
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.decoding import (
    BlockRepeats,
    ForbidWords,
    MinimumLength,
    NoBadEndings,
    Rule,
    Temperature,
    TopK,
    TopP,
    beam,
)
from miacap.errors import SettingsError
from miacap.text.vocabulary import EOS

WORDS = (4, 5, 6)
MAXIMUM = 4
ALL = 4**MAXIMUM
"""As many hypotheses as there are captions, and more."""


def forbid(words: tuple[int, ...]) -> tuple[Rule, PlainRule]:
    def plain(logits: list[float], said: tuple[int, ...], remaining: int) -> list[float]:
        return [-math.inf if word in words else x for word, x in enumerate(logits)]

    return ForbidWords(words), plain


def block_repeats(size: int) -> tuple[Rule, PlainRule]:
    def plain(logits: list[float], said: tuple[int, ...], remaining: int) -> list[float]:
        seen = {said[k : k + size] for k in range(len(said) - size + 1)}
        tail = said[len(said) - size + 1 :] if size > 1 else ()
        return [-math.inf if (*tail, word) in seen else x for word, x in enumerate(logits)]

    return BlockRepeats(size), plain


def no_bad_endings(words: tuple[int, ...]) -> tuple[Rule, PlainRule]:
    def plain(logits: list[float], said: tuple[int, ...], remaining: int) -> list[float]:
        left = list(logits)
        if said and said[-1] in words:
            left[EOS] = -math.inf
        if remaining == 0:
            for word in words:
                left[word] = -math.inf
        return left

    return NoBadEndings(words), plain


def minimum(words: int) -> tuple[Rule, PlainRule]:
    def plain(logits: list[float], said: tuple[int, ...], remaining: int) -> list[float]:
        left = list(logits)
        if len(said) < words:
            left[EOS] = -math.inf
        return left

    return MinimumLength(words), plain


def temperature(value: float) -> tuple[Rule, PlainRule]:
    def plain(logits: list[float], said: tuple[int, ...], remaining: int) -> list[float]:
        return [x / value for x in logits]

    return Temperature(value), plain


def top_k(k: int) -> tuple[Rule, PlainRule]:
    def plain(logits: list[float], said: tuple[int, ...], remaining: int) -> list[float]:
        last = sorted(logits, reverse=True)[k - 1]
        return [-math.inf if x < last else x for x in logits]

    return TopK(k), plain


def top_p(p: float) -> tuple[Rule, PlainRule]:
    def plain(logits: list[float], said: tuple[int, ...], remaining: int) -> list[float]:
        total = sum(math.exp(x) for x in logits)
        left, reached = [-math.inf] * len(logits), 0.0
        for word in sorted(range(len(logits)), key=lambda word: -logits[word]):
            if reached >= p:
                break
            left[word] = logits[word]
            reached += math.exp(logits[word]) / total
        return left

    return TopP(p), plain


some_words = st.lists(st.sampled_from(WORDS), unique=True, max_size=2).map(tuple)
Drawn = tuple[Callable[[Any], tuple[Rule, PlainRule]], Any]
"""What makes a rule, and of what; made in the test, because the shape checker draws lots."""
RULES = {
    "forbidden words": st.tuples(st.just(forbid), some_words),
    "repeats": st.tuples(st.just(block_repeats), st.integers(1, 3)),
    "bad endings": st.tuples(st.just(no_bad_endings), some_words),
    "minimum length": st.tuples(st.just(minimum), st.integers(0, MAXIMUM)),
    "temperature": st.tuples(st.just(temperature), st.floats(0.2, 5.0)),
    "top k": st.tuples(st.just(top_k), st.integers(1, 6)),
    "top p": st.tuples(st.just(top_p), st.floats(0.05, 0.99)),
}
one_rule = st.one_of(list(RULES.values()))
toys = st.builds(lambda seed, end: Toy(7, seed, end=end), st.integers(0, 10_000), st.floats(-3, 3))
penalties = st.sampled_from([0.0, 0.0, 0.3, 0.7, 1.0, 2.5])


def check_all(toy: Toy, drawn: list[Drawn], penalty: float) -> None:
    chosen = [make(value) for make, value in drawn]
    rules = tuple(rule for rule, _ in chosen)
    expected = brute_force(
        toy.table("0").tolist(), MAXIMUM, [plain for _, plain in chosen], penalty
    )
    if not expected:
        with pytest.raises(SettingsError, match="no caption"):
            beam(toy, pictures(1), ALL, MAXIMUM, rules=rules, length_penalty=penalty)
        return
    got = beam(toy, pictures(1), ALL, MAXIMUM, 3, rules, penalty)[0]
    same(got, expected[:3])


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_beam_of_all_captions_finds_the_best_under_each_rule(
    name: str, data: st.DataObject
) -> None:
    toy, rule, penalty = data.draw(toys), data.draw(RULES[name]), data.draw(penalties)
    check_all(toy, [rule], penalty)


@settings(max_examples=40, deadline=None)
@given(toy=toys, rules=st.lists(one_rule, min_size=2, max_size=3), penalty=penalties)
def test_a_beam_of_all_captions_finds_the_best_under_several_rules(
    toy: Toy, rules: list[Drawn], penalty: float
) -> None:
    check_all(toy, rules, penalty)


@settings(max_examples=40, deadline=None)
@given(toy=toys, penalty=st.floats(0.0, 10.0))
def test_a_beam_of_all_captions_finds_the_best_normalised_one(toy: Toy, penalty: float) -> None:
    check_all(toy, [], penalty)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    end=st.floats(-4, 4),
    words=st.integers(7, 11),
    width=st.integers(1, 6),
    maximum=st.integers(1, 8),
    rules=st.lists(one_rule, max_size=2),
    penalty=st.floats(0.0, 3.0),
)
def test_narrow_beams_equal_plain_loops(
    seed: int,
    end: float,
    words: int,
    width: int,
    maximum: int,
    rules: list[Drawn],
    penalty: float,
) -> None:
    toy = Toy(words, seed, end=end)
    chosen = [make(value) for make, value in rules]
    plain = [function for _, function in chosen]
    expected = [
        plain_beam(toy.table(str(index)).tolist(), width, maximum, width, plain, penalty)
        for index in range(4)
    ]
    given_rules = tuple(rule for rule, _ in chosen)
    if not all(expected):
        with pytest.raises(SettingsError, match="no caption"):
            beam(toy, pictures(4), width, maximum, width, given_rules, penalty)
        return
    got = beam(toy, pictures(4), width, maximum, width, given_rules, penalty)
    for hypotheses, wanted in zip(got, expected, strict=True):
        same(hypotheses, wanted)
