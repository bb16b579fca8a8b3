"""Diversity of captions, by hand."""

import pytest

from miacap.errors import DataError
from miacap.metrics.diversity import diversity, repeats


def test_by_hand() -> None:
    found = diversity(
        ["A dog runs.", "a dog runs", "a man riding a", "the cat cat"],
        training=["A dog runs!", "something else"],
    )
    assert found.captions == 4
    assert found.distinct == 0.5  # the first two are one caption
    assert found.vocabulary == 7  # a dog runs man riding the cat
    assert found.distinct_1 == 7 / 13
    assert found.distinct_2 == 7 / 9
    assert found.mean_length == 13 / 4
    assert found.novel == 0.5
    assert found.bad_endings == 0.25
    assert found.repeats == 0.25


def test_repeats() -> None:
    assert repeats(["a", "man", "and", "a", "woman", "and", "a", "dog"]) is False
    assert repeats(["a", "man", "on", "a", "bike", "and", "a", "man", "on", "a", "horse"]) is True
    assert repeats(["on", "on", "it"]) is True
    assert repeats([]) is False


def test_without_training_nothing_is_said_of_novelty() -> None:
    assert diversity(["", "a"]).novel is None
    with pytest.raises(DataError, match="No captions to describe"):
        diversity([])
