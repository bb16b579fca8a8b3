"""Rewards from word ids equal CIDEr-D of words, compiled or not, with and without the end."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.errors import DataError
from miacap.metrics import score
from miacap.metrics.frequencies import grams
from miacap.metrics.rewards import CiderReward
from miacap.metrics.speed import loops

EOS = 2
needs_numba = pytest.mark.skipif(loops(10**9) is None, reason="numba is not installed")

REFERENCES = {
    "a": [[4, 5, 6, 7, 8], [4, 5, 6]],
    "b": [[4, 9, 10, 11, 12], [13, 9, 10]],
    "c": [[14, 15, 16, 17], [4, 5, 16, 17]],
}


def sentence(words: Sequence[int]) -> str:
    return " ".join(f"w{word}" for word in words)


def by_words(
    references: dict[str, list[list[int]]], name: str, words: Sequence[int], end: bool
) -> float:
    """CIDEr-D of one sample among the training references: other pictures' candidates are empty."""
    tail = [EOS] if end else []
    texts = {key: [sentence([*r, *tail]) for r in some] for key, some in references.items()}
    candidates = dict.fromkeys(references, "")
    candidates[name] = sentence(words)
    scores = score(texts, candidates, ["CIDEr-D"], tokenized=True)
    return scores.per_picture["CIDEr-D"][scores.ids.index(name)]


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_numba)])
@pytest.mark.parametrize("end", [True, False])
def test_rewards_equal_cider_of_words(end: bool, compiled: bool) -> None:
    reward = CiderReward(REFERENCES, end=end, compiled=compiled)
    samples = [
        [[4, 5, 6, 7, EOS, 0, 0], [4, 5, 6, 7, 8, 99, 99]],
        [[13, 9, 10, EOS, 0, 0, 0], [9, 9, 9, 9, 9, 9, 9]],
    ]
    found = reward(["a", "b"], samples)
    assert found.shape == (2, 2)
    for row, name in enumerate("ab"):
        for column, ids in enumerate(samples[row]):
            words = [w for w in ids if w and (w != EOS or end)]
            expected = by_words(REFERENCES, name, words, end)
            assert found[row, column] == pytest.approx(expected, abs=1e-12)
    assert found[1, 0] > found[1, 1]


words = st.lists(st.integers(4, 9), max_size=7)
drawn_references = st.dictionaries(
    st.sampled_from("abcd"), st.lists(words, min_size=1, max_size=3), min_size=1
)


@given(
    drawn_references, st.lists(st.lists(st.integers(0, 11), min_size=6, max_size=6)), st.booleans()
)
def test_any_samples(
    references: dict[str, list[list[int]]], rows: list[list[int]], end: bool
) -> None:
    if not rows:
        return
    names = [sorted(references)[i % len(references)] for i in range(len(rows))]
    samples = np.array(rows)[:, None]
    found = CiderReward(references, end=end, compiled=False)(names, samples)[:, 0]
    for name, row, value in zip(names, rows, found, strict=True):
        kept = []
        for word in row:
            if word > 1 and (word != EOS or end):
                kept.append(word)
            if word == EOS:
                break
        assert value == pytest.approx(by_words(references, name, kept, end), abs=1e-12)
    if loops(10**9) is not None:
        compiled = CiderReward(references, end=end, compiled=True)(names, samples)[:, 0]
        assert compiled.tolist() == found.tolist()


class Crowd(list[object]):
    """References of a batch that say they are all training pictures: ln N of the original."""

    size = 0

    def __len__(self) -> int:
        return self.size


def test_rewards_are_those_of_the_original_with_its_frequencies_replaced() -> None:
    """pycocoevalcap's scorer, given the training pictures' frequencies and ln N from outside."""
    original = pytest.importorskip("pycocoevalcap.cider.cider_scorer")
    chance = np.random.default_rng(7)
    references = {
        str(n): [chance.integers(4, 14, chance.integers(1, 9)).tolist() for _ in range(4)]
        for n in range(30)
    }
    counts: dict[tuple[str, ...], float] = defaultdict(float)
    for some in references.values():
        ended = [sentence([*words, EOS]).split() for words in some]
        for gram in {g for words in ended for g in grams(words, 4)}:
            counts[gram] += 1
    names = ["3", "17", "3"]
    samples = chance.integers(4, 14, (3, 5, 7))
    samples[:, :3, 6] = EOS
    scorer = original.CiderScorer(n=4, sigma=6.0)
    for name, rows in zip(names, samples.tolist(), strict=True):
        for words in rows:
            scorer += (sentence(words), [sentence([*r, EOS]) for r in references[name]])
    scorer.document_frequency = counts
    scorer.crefs = Crowd(scorer.crefs)
    scorer.crefs.size = len(references)
    expected = np.array(scorer.compute_cider()).reshape(3, 5)
    assert expected.max() > 0.5
    assert np.abs(CiderReward(references)(names, samples) - expected).max() <= 1e-10


def test_nothing_behind_the_end_counts() -> None:
    reward = CiderReward(REFERENCES)
    same = reward(["a"], [[[4, 5, 6, EOS, 7, 8], [4, 5, 6, EOS, EOS, 4]]])
    assert same[0, 0] == same[0, 1]


def test_the_end_rewards_whole_sentences_and_shows_in_the_signature() -> None:
    with_end, without = CiderReward(REFERENCES), CiderReward(REFERENCES, end=False)
    ended, cut = [4, 5, 6, 7, 8, EOS], [4, 5, 6, 7, 8, 0]
    a, b = with_end(["a"], [[ended, cut]])[0]
    assert a > b
    c, d = without(["a"], [[ended, cut]])[0]
    assert c == d
    assert "end:yes" in with_end.signature and "end:no" in without.signature


def test_wrong_rewards_say_what_is_wrong() -> None:
    with pytest.raises(DataError, match=r"1 picture has no references: b\."):
        CiderReward({"a": [[4]], "b": []})
    with pytest.raises(DataError, match="mapping is empty"):
        CiderReward({})
    reward = CiderReward(REFERENCES)
    with pytest.raises(DataError, match=r"1 picture has no references: zebra\."):
        reward(["zebra"], [[[4]]])
    with pytest.raises(DataError, match=r"for 1 picture; got int64 of shape \(1, 1\)"):
        reward(["a"], [[4]])
    with pytest.raises(DataError, match=r"equal length: fill them up with PAD \(0\)"):
        reward(["a"], [[[4, 5], [4]]])


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_numba)])
def test_only_ids_of_0_or_more_are_words(compiled: bool) -> None:
    """-1 as padding would be taken for a part of another n-gram's number."""
    reward = CiderReward(REFERENCES, compiled=compiled)
    with pytest.raises(DataError, match=r"Word ids are 0 or more, not -1; fill samples up"):
        reward(["a"], [[[4, 5, 6, -1, -1]]])
    with pytest.raises(DataError, match="got float64"):
        reward(["a"], [[[4.0, 5.0]]])
    assert reward(["a"], np.zeros((1, 3, 0), dtype=np.int32)).tolist() == [[0, 0, 0]]
    assert reward([], np.zeros((0, 3, 5), dtype=np.int64)).shape == (0, 3)
    for wrong in ([-1, 5], [1.5], "a dog", [None]):
        with pytest.raises(DataError, match="picture b: references are lists of word ids of 0 or"):
            CiderReward({"a": [[4, 5]], "b": [[6], wrong]}, compiled=compiled)  # type: ignore[list-item]
