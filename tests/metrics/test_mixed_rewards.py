"""A weighted sum of metrics from word ids equals the sum of the metrics of words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.errors import DataError, UnknownName
from miacap.metrics import DocumentFrequencies, score
from miacap.metrics.mixed_rewards import MixedReward
from miacap.metrics.names import REWARDS
from miacap.metrics.rewards import CiderReward
from miacap.metrics.speed import loops

EOS = 2
needs_numba = pytest.mark.skipif(loops(10**9) is None, reason="numba is not installed")

REFERENCES = {
    "a": [[4, 5, 6, 7, 8], [4, 5, 6]],
    "b": [[4, 9, 10, 11, 12], [13, 9, 10], [4]],
    "c": [[14, 15, 16, 17], [4, 5, 16, 17]],
}
OTHERS = {"d": [[4, 5, 6, 99], [18, 4, 5]]}
WEIGHTS = {"CIDEr-D": 0.7, "BLEU-4": 2.0, "BLEU-1": 0.25, "ROUGE-L": 1.5}


def sentence(words: list[int], end: bool) -> str:
    return " ".join(f"w{word}" for word in ([*words, EOS] if end else words))


def by_words(name: str, sample: list[int], end: bool) -> float:
    """The same sum from `metrics.score`, with the document frequencies of the references."""
    counted = [[sentence(r, end).split() for r in some] for some in REFERENCES.values()]
    every = {**REFERENCES, **OTHERS}
    told = {name: [sentence(r, end) for r in every[name]]}
    said = [word for word in sample if word != EOS]
    text = sentence(said, end and EOS in sample)
    found = score(told, {name: text}, tuple(WEIGHTS), tokenized=True,
                  frequencies=DocumentFrequencies.count(counted))  # fmt: skip
    return sum(weight * found.per_picture[metric][0] for metric, weight in WEIGHTS.items())


words = st.lists(st.sampled_from([4, 5, 6, 7, 9, 10, 16, 17, 55]), max_size=6)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_numba)])
@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["a", "b", "c", "d"]),
    samples=st.lists(st.tuples(words, st.booleans()), min_size=1, max_size=4),
    end=st.booleans(),
)
def test_rewards_of_ids_are_scores_of_words(
    compiled: bool, name: str, samples: list[tuple[list[int], bool]], end: bool
) -> None:
    said = [[*sample, EOS] if ended else sample for sample, ended in samples]
    ids = np.zeros((1, len(said), 8), dtype=np.int64)
    for index, row in enumerate(said):
        ids[0, index, : len(row)] = row
    reward = MixedReward(REFERENCES, WEIGHTS, others=OTHERS, end=end, compiled=compiled)
    found = reward([name], ids)[0]
    for value, sample in zip(found, said, strict=True):
        if any(word != EOS for word in sample):  # an empty caption is told of by score
            assert value == pytest.approx(by_words(name, sample, end), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_numba)])
def test_other_pictures_change_no_frequency(compiled: bool) -> None:
    alone = CiderReward(REFERENCES, compiled=compiled)
    more = CiderReward(REFERENCES, others=OTHERS, compiled=compiled)
    samples = [[[4, 5, 6, EOS, 0], [16, 17, 4, 5, 99]]] * 3
    names = ["a", "b", "c"]
    assert np.array_equal(alone(names, samples), more(names, samples))
    assert alone.signature == more.signature
    assert more(["d"], [[[4, 5, 6, 99, EOS]]])[0, 0] > 1
    with pytest.raises(DataError, match=r"references twice: b; name"):
        CiderReward(REFERENCES, others={"b": [[4]]})


def test_weights_of_nothing_known_and_of_0() -> None:
    with pytest.raises(UnknownName, match="'SPICE'"):
        MixedReward(REFERENCES, {"SPICE": 1.0})
    found = MixedReward(REFERENCES, dict.fromkeys(REWARDS, 0.0) | {"ROUGE-L": 2.0})
    assert found.weights == {"ROUGE-L": 2.0}
    assert found(["a"], [[[4, 5, 6, EOS]]]).tolist() == [[2.0]]
    with pytest.raises(DataError, match=r"1 picture has no references: z\."):
        found(["z"], [[[4]]])
    assert found(["a"], np.zeros((1, 0, 3), dtype=np.int64)).shape == (1, 0)
    empty = MixedReward({"a": [[]]}, {"ROUGE-L": 1.0, "BLEU-4": 1.0}, end=False)
    assert empty(["a"], [[[EOS, 0]]])[0, 0] == pytest.approx(1.0, abs=1e-3)
