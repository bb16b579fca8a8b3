"""Resampling: against plain loops over pictures, and on cases whose answer is known."""

import math
import random
import time
from collections.abc import Sequence

import numpy as np
import pytest

from miacap.errors import DataError, UnknownName
from miacap.metrics import METRICS, score
from miacap.metrics.comparisons import (
    intervals,
    paired_bootstrap,
    paired_bootstraps,
    permutation_test,
)
from miacap.metrics.scoring import Scores
from miacap.metrics.spice import TupleFile

LEXICAL = ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D")


def drawn(seed: int, pictures: int = 40, noise: int = 2) -> tuple[list[list[str]], list[str]]:
    chance = random.Random(seed)
    truth = random.Random(1)
    words = [f"w{n}" for n in range(30)]
    references, candidates = [], []
    for _ in range(pictures):
        base = truth.choices(words, k=8)
        references.append([" ".join([*base[:6], truth.choice(words)]) for _ in range(3)])
        own = list(base)
        for _ in range(noise):
            own[chance.randrange(8)] = chance.choice(words)
        candidates.append(" ".join(own))
    return references, candidates


def scored(seed: int, noise: int = 2, metrics: tuple[str, ...] = LEXICAL) -> Scores:
    return score(*drawn(seed, noise=noise), metrics, tokenized=True)


def test_a_resample_is_the_score_of_the_drawn_pictures() -> None:
    """One draw, repeated by hand: BLEU of the repeated pictures, means of the others."""
    references, candidates = drawn(0)
    scores = score(references, candidates, LEXICAL, tokenized=True)
    found = intervals(scores, resamples=1, seed=5)
    rows = np.random.default_rng(5).integers(0, 40, (1, 40))[0]
    again = score(
        [references[r] for r in rows], [candidates[r] for r in rows], ["BLEU-4"], tokenized=True
    )
    assert found["BLEU-4"].low == found["BLEU-4"].high == pytest.approx(again["BLEU-4"], abs=1e-12)
    mean = sum(scores.per_picture["CIDEr-D"][r] for r in rows) / 40
    assert found["CIDEr-D"].low == pytest.approx(mean, abs=1e-12)


def test_meteor_is_resampled_from_its_counts() -> None:
    references = [["a dog runs on grass"], ["two men ride horses"], ["a red bus"]]
    scores = score(references, ["the dog is running", "men on horses", "a red bus"], ["METEOR"])
    rows = np.random.default_rng(3).integers(0, 3, (1, 3))[0]
    again = score(
        [references[r] for r in rows],
        [["the dog is running", "men on horses", "a red bus"][r] for r in rows],
        ["METEOR"],
    )
    found = intervals(scores, resamples=1, seed=3)["METEOR"]
    assert found.low == pytest.approx(again["METEOR"], abs=1e-12)
    assert found.score == scores["METEOR"]


def test_intervals_hold_the_score_and_narrow_with_pictures() -> None:
    wide, narrow = (
        intervals(score(*drawn(0, pictures=n), LEXICAL, tokenized=True))["ROUGE-L"]
        for n in (20, 320)
    )
    assert wide.low < wide.score < wide.high
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    assert 2 < ratio < 8  # a square root of 16, give or take


def _few(rows: list[str]) -> Scores:
    """ROUGE-L of captions whose references are all "a b c d"."""
    return score([["a b c d"]] * len(rows), rows, ["ROUGE-L"], tokenized=True)


def _drawn_means(a: Scores, b: Scores, resamples: int, seed: int) -> list[float]:
    """Mean differences in ROUGE-L of drawn pictures, each summed in a loop."""
    change = [x - y for x, y in zip(*(s.per_picture["ROUGE-L"] for s in (a, b)), strict=True)]
    drawn = np.random.default_rng(seed).integers(0, len(change), (resamples, len(change)))
    return [sum(change[index] for index in row) / len(row) for row in drawn]


def test_p_is_two_sided_and_the_same_from_either_side() -> None:
    a = _few(["a b c d", "a b c d", "a x", "a b y", "b d"])
    b = _few(["a b c", "x", "a b c d", "a", "b d"])
    means = _drawn_means(a, b, 99, 7)
    below, above = sum(m <= 0 for m in means), sum(m >= 0 for m in means)
    assert 0 < below < above  # some draws lie on the other side
    expected = 2 * (below + 1) / 100
    assert paired_bootstrap(a, b, "ROUGE-L", 99, seed=7).p == pytest.approx(expected)
    assert paired_bootstrap(b, a, "ROUGE-L", 99, seed=7).p == pytest.approx(expected)
    swapped = permutation_test(b, a, "ROUGE-L", 200, seed=7)
    assert swapped.p == permutation_test(a, b, "ROUGE-L", 200, seed=7).p
    # What was seen counts as one of the swaps: no draw reaches it, and p is not 0.
    clear, none = _few(["a b c d"] * 20), _few(["x"] * 20)
    assert permutation_test(clear, none, "ROUGE-L", 49).p == 1 / 50
    assert swapped.difference < 0 < permutation_test(a, b, "ROUGE-L", 200).difference


@pytest.mark.parametrize(("level", "ends"), [(None, (2.5, 97.5)), (0.5, (25, 75)), (0.9, (5, 95))])
def test_the_level_is_the_share_of_draws_inside(
    level: float | None, ends: tuple[float, float]
) -> None:
    a, nothing = _few(["a b c d", "a b", "x", "a", "b d", "d"]), _few(["x"] * 6)
    chosen = {} if level is None else {"level": level}
    expected = np.percentile(_drawn_means(a, nothing, 80, 4), ends)
    found = intervals(a, resamples=80, seed=4, **chosen)["ROUGE-L"]
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    paired = paired_bootstrap(a, nothing, "ROUGE-L", 80, 4, **chosen)
    assert (paired.low, paired.high) == pytest.approx(tuple(expected))


def test_a_better_system_is_found_and_an_equal_one_is_not() -> None:
    good, bad, other = scored(1, noise=1), scored(2, noise=5), scored(3, noise=1)
    clear = paired_bootstrap(good, bad, "CIDEr-D")
    assert clear.difference == pytest.approx(good["CIDEr-D"] - bad["CIDEr-D"])
    assert 0 < clear.low < clear.difference < clear.high
    assert clear.p < 0.01 and permutation_test(good, bad, "CIDEr-D").p < 0.01
    alike = paired_bootstrap(good, other, "CIDEr-D")
    assert alike.low < 0 < alike.high and alike.p > 0.05
    assert permutation_test(good, other, "CIDEr-D").p > 0.05
    assert paired_bootstraps(good, bad)["CIDEr-D"] == clear  # the same draws for every metric


def test_nothing_differs_from_itself() -> None:
    same = scored(1)
    found = paired_bootstrap(same, same, "BLEU-4")
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert permutation_test(same, same, "BLEU-4").p == 1


def test_permutations_equal_all_swaps_of_few_pictures() -> None:
    """With 5 pictures all 32 swaps can be listed; the drawn p comes near the exact one."""
    references, _ = drawn(0, pictures=5)
    a = score(references, drawn(1, pictures=5)[1], ["ROUGE-L"], tokenized=True)
    b = score(references, drawn(2, pictures=5, noise=5)[1], ["ROUGE-L"], tokenized=True)
    change = np.array(a.per_picture["ROUGE-L"]) - np.array(b.per_picture["ROUGE-L"])
    signs = np.array([[1 - 2 * (n >> bit & 1) for bit in range(5)] for n in range(32)])
    exact = np.mean(np.abs(signs @ change) >= abs(change.sum()) - 1e-12)
    found = permutation_test(a, b, "ROUGE-L", resamples=4000).p
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 4000) + 1e-3)


def test_pictures_are_joined_by_id() -> None:
    references, candidates = drawn(0)
    known = {str(n): some for n, some in enumerate(references)}
    first = score(known, {str(n): c for n, c in enumerate(candidates)}, LEXICAL, tokenized=True)
    turned = dict(reversed(known.items()))
    second = score(turned, {str(n): c for n, c in enumerate(candidates)}, LEXICAL, tokenized=True)
    assert first.ids != second.ids
    found = paired_bootstrap(first, second, "CIDEr-D")
    assert max(abs(found.low), abs(found.high)) < 1e-12


def test_what_does_not_compare_is_refused() -> None:
    a, b = scored(1), scored(2, metrics=("BLEU-1",))
    with pytest.raises(UnknownName, match="both systems were scored with named 'CIDEr-D'"):
        paired_bootstrap(a, b, "CIDEr-D")
    less = score(*drawn(1, pictures=39), LEXICAL, tokenized=True)
    with pytest.raises(DataError, match="BLEU-4 of the two systems does not compare"):
        paired_bootstrap(a, less, "BLEU-4")
    with pytest.raises(DataError, match="0 resamples: at least one"):
        intervals(a, resamples=0)


@pytest.mark.slow
def test_a_thousand_resamples_of_five_thousand_pictures() -> None:
    chance = np.random.default_rng(0)
    pick = chance.integers(0, 40, 5000)
    references, candidates = drawn(0)
    dogs: list[Sequence[str]] = [("dog",), ("dog", "brown")]
    tuples = TupleFile(list(range(5000)), [[dogs]] * 5000, [dogs[: n % 3] for n in pick], "by hand")
    scores = score(
        [references[n] for n in pick],
        [candidates[n] for n in pick],
        METRICS,
        tokenized=True,
        tuples=tuples,
    )
    start = time.process_time()
    found = intervals(scores)
    assert time.process_time() - start < 10
    assert list(found) == list(METRICS)
