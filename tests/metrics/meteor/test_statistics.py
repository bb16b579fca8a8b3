"""The formula by hand, and sums of statistics."""

import numpy as np
import pytest

from miacap.metrics.meteor import Meteor, aggregate
from miacap.metrics.meteor.statistics import count, score


def test_the_example_of_the_docstring(meteor: Meteor) -> None:
    found = meteor.align("a dog", "a red dog")
    assert found.matches == [(0, 1, 0, 1, 0), (2, 1, 1, 1, 0)]
    assert found.chunks == 2
    assert found.statistics == [3, 2, 1, 1, 1, 1, 1, 1, *[0] * 12, 2, 2, 2]
    assert found.score == pytest.approx(0.4 / (0.15 * 1.75 + 0.85), abs=1e-15)
    lonely = meteor.align("a dogs", "a red dog")
    assert lonely.matches == [(0, 1, 0, 1, 0)]


def test_counts_by_module_side_and_kind() -> None:
    """Three words, the middle one a function word, by one paraphrase of two; one exact."""
    row = count(
        [False, True, False, False],
        [True, False, False],
        [(0, 3, 0, 2, 3), (3, 1, 2, 1, 0)],
        1,
    )
    assert row == [4, 3, 1, 1, 1, 1, 0, 0, *[0] * 8, 2, 1, 1, 1, 1, 4, 3]


def test_formula_by_hand() -> None:
    """One exact content, one stem function, one synonym content, of 5 and 4 words."""
    row = [5, 4, 2, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 2, 3, 3]
    matched = 1 * 0.75 + 0.6 * 0.25 + 0.8 * 0.75
    precision, recall = matched / (0.75 * 3 + 0.25 * 2), matched / (0.75 * 3 + 0.25 * 1)
    mean = 1 / (0.15 / precision + 0.85 / recall)
    assert score(row) == pytest.approx(mean * (1 - 0.6 * (2 / 3) ** 0.2), abs=1e-15)


def test_all_in_one_chunk_is_perfect_only_when_complete() -> None:
    complete = [2, 2, 1, 1, 1, 1, 1, 1, *[0] * 12, 1, 2, 2]
    assert score(complete) == 1
    longer = [2, 3, 1, 1, 1, 1, 1, 1, *[0] * 12, 1, 2, 2]
    assert 0 < score(longer) < 1 / (0.15 + 0.85 / (1.0 / 1.75))


def test_nothing_scores_nothing() -> None:
    assert score([0] * 23) == 0
    assert score([0, 10, 0, 5, *[0] * 19]) == 0
    assert aggregate(np.zeros((0, 23), np.int64)) == 0


def test_corpus_leaves_out_the_chunk_of_complete_pictures() -> None:
    complete = [2, 2, 1, 1, 1, 1, 1, 1, *[0] * 12, 1, 2, 2]
    other = [3, 2, 1, 1, 1, 1, 1, 1, *[0] * 12, 2, 2, 2]
    expected = [a + b for a, b in zip(complete, other, strict=True)]
    expected[20] = 2  # not 3
    statistics = np.array([complete, other])
    assert aggregate(statistics) == score(expected)
    assert statistics[0, 20] == 1  # what was given is left alone


def test_weights_repeat_pictures() -> None:
    rng = np.random.default_rng(0)
    rows = np.array([[4, 5, 1, 2, 2, 2, 1, 1, *[0] * 12, 2, 3, 3]] * 6)
    rows[:, 20] = rng.integers(1, 4, 6)
    rows[:, 1] = rng.integers(5, 9, 6)
    draws = rng.integers(0, 3, (4, 6))
    expected = [aggregate(np.repeat(rows, draw, axis=0)) for draw in draws]
    assert aggregate(rows, draws).tolist() == expected  # type: ignore[union-attr]
    assert aggregate(rows, draws[1]) == expected[1]
    assert aggregate(rows, np.ones(6, np.int64)) == aggregate(rows)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="P x 23, not"):
        aggregate(np.zeros((3, 22), np.int64))
    with pytest.raises(ValueError, match="weights for 3 pictures"):
        aggregate(np.zeros((3, 23), np.int64), np.ones(4, np.int64))


def test_all_words_matched_in_two_chunks_are_not_perfect() -> None:
    """frag = 2 / 2, so 1 - .6."""
    assert score([2, 2, 1, 1, 1, 1, 1, 1, *[0] * 12, 2, 2, 2]) == pytest.approx(0.4)
