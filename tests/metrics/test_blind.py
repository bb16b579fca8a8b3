from math import exp, log, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.metrics.blind import best_constant, derangement, shuffled


@given(st.integers(2, 40), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_a_shuffle_leaves_no_picture_its_caption(pictures: int, seed: int) -> None:
    candidates = {f"p{i}": f"caption {i}" for i in range(pictures)}
    mixed = shuffled(candidates, seed)
    assert sorted(mixed.values()) == sorted(candidates.values())
    assert all(mixed[name] != candidates[name] for name in candidates)
    assert mixed == shuffled(candidates, seed)


def test_one_picture_cannot_be_shuffled() -> None:
    with pytest.raises(ValueError, match="needs two items, not 1"):
        shuffled({"a": "x"})


def _mean_cider(candidate: str, captions: dict[str, list[str]]) -> float:
    """CIDEr-D from its formula, in plain loops, averaged over the pictures."""

    def grams(text: str, n: int) -> list[tuple[str, ...]]:
        words = text.split()
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    def idf(gram: tuple[str, ...]) -> float:
        having = sum(
            any(gram in grams(r, len(gram)) for r in references) for references in captions.values()
        )
        return log(len(captions)) - log(max(1, having))

    total = 0.0
    for references in captions.values():
        for reference in references:
            for n in range(1, 5):
                c, r = grams(candidate, n), grams(reference, n)
                dot = sum(
                    min(c.count(g), r.count(g)) * r.count(g) * idf(g) ** 2 for g in set(c) & set(r)
                )
                norms = [sqrt(sum((s.count(g) * idf(g)) ** 2 for g in set(s))) for s in (c, r)]
                delta = len(grams(candidate, 2)) - len(grams(reference, 2))
                if norms[0] * norms[1] > 0:
                    value = dot / (norms[0] * norms[1]) * exp(-(delta**2) / 72)
                    total += value * 10 / 4 / len(references) / len(captions)
    return total


_WORDS = st.lists(
    st.sampled_from(["a", "dog", "cat", "red", "runs", "on", "the", "the"]), min_size=1, max_size=9
)
_CAPTIONS = st.lists(st.lists(_WORDS.map(" ".join), min_size=1, max_size=3), min_size=2, max_size=5)


@given(_CAPTIONS)
@settings(max_examples=60, deadline=None)
def test_the_constant_has_the_best_mean_cider_of_all_captions(lists: list[list[str]]) -> None:
    captions = {str(i): texts for i, texts in enumerate(lists)}
    means = {text: _mean_cider(text, captions) for texts in lists for text in texts}
    assert means[best_constant(captions)] == pytest.approx(max(means.values()), abs=1e-12)


def test_a_shuffle_is_the_same_for_a_seed_for_ever() -> None:
    """Controls of runs that were made earlier stay comparable."""
    assert derangement([0, 1, 2, 3, 4, 5, 6]) == [2, 4, 5, 1, 0, 6, 3]
    assert derangement([0, 1, 2, 3, 4, 5, 6], seed=1) == [3, 2, 5, 6, 0, 4, 1]
