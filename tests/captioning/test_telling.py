"""What is told of samples in training, in plain loops, and of a few dev pictures."""

import statistics
from typing import Any

import numpy as np
import pytest
import torch

from miacap.captioning.reward import Reward
from miacap.captioning.self_critical import SelfCriticalTask
from miacap.captioning.validation import DevScores
from miacap.runs import SelfCritical
from miacap.text import EOS, PAD, UNK, Vocabulary

WORDS = Vocabulary(["a", "dog", "on", "runs"])
A, DOG, ON, RUNS = 4, 5, 6, 7
REFERENCES = {"1": ("a dog runs", "a dog on a dog"), "2": ("a dog", "runs")}
SAMPLES = [
    [[A, DOG, RUNS, EOS], [A, DOG, ON, EOS], [A, DOG, RUNS, A]],
    [[EOS, PAD, PAD, PAD], [UNK, ON, EOS, PAD], [PAD, PAD, PAD, PAD]],
]
REAL = [[True, True, True], [True, True, False]]


def reward_of(**weights: float) -> Reward:
    none: Any = None
    return Reward.of(WORDS, REFERENCES, {}, none, SelfCritical(rewards=weights), 0)


@pytest.mark.parametrize("weights", [{"CIDEr-D": 2.0}, {"CIDEr-D": 1.0, "ROUGE-L": 0.5}])
def test_rewards_of_every_sort_and_bad_endings(weights: dict[str, float]) -> None:
    reward, words = reward_of(**weights), torch.tensor(SAMPLES)
    scores = reward.scores(["1", "2"], words)
    assert list(scores) == list(weights)
    total = sum(weights[name] * scores[name] for name in weights)
    assert isinstance(total, np.ndarray)
    assert np.allclose(reward.total(scores), total)
    told = reward.told(words, scores, np.array(REAL))
    sorts = {"": total, **({f" {n}": a for n, a in scores.items()} if len(weights) > 1 else {})}
    assert told.keys() == {f"{base}{sort}" for sort in sorts
                           for base in ("reward", "reward spread")} | {"bad endings"}  # fmt: skip
    for sort, array in sorts.items():
        rows = [[x for x, real in zip(*pair, strict=True) if real]
                for pair in zip(array.tolist(), REAL, strict=True)]  # fmt: skip
        values = [value for row in rows for value in row]
        assert told[f"reward{sort}"] == (pytest.approx(sum(values)), 5)
        spreads = sum(statistics.pstdev(row) for row in rows)
        assert told[f"reward spread{sort}"] == (pytest.approx(spreads), 2)
    # "on" and "a" at the end, cut or not; an empty caption has no end, and none no caption.
    assert told["bad endings"] == (3.0, 5.0)
    assert set(reward.numbers) == told.keys() - {"bad endings"}


def test_a_handful_of_dev_pictures_is_the_same_every_time() -> None:
    none: Any = None
    for number, wanted in ((0, []), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4]), (23, [0, 4, 8, 12, 16])):
        dev = DevScores(none, none, {f"p{i}": (f"said {i}", "more") for i in range(number)})
        assert dev.few == [f"p{i}" for i in wanted]
        dev.said = {name: f"now {name}" for name in dev.few}
        assert dev.examples() == [(f"p{i}", f"now p{i}", f"said {i}") for i in wanted]


@pytest.mark.parametrize("baseline", ["mean", "greedy", "beam"])
def test_captions_that_are_all_worth_the_same_teach_nothing_and_it_is_said(baseline: Any) -> None:
    none: Any = None
    reward, words = reward_of(**{"CIDEr-D": 1.0}), torch.tensor([[SAMPLES[0][0]] * 3] * 2)
    task = SelfCriticalTask(
        none, none, reward, none, none, SelfCritical(baseline=baseline, samples=3)
    )

    def doubt(words: torch.Tensor) -> str | None:
        scores = reward.scores(["1", "2"], words)
        parts = reward.told(words, scores, np.ones((2, 3), dtype=bool))
        return task.doubt({f"train {name}": sum_ / w for name, (sum_, w) in parts.items()})

    said = doubt(words)
    if baseline == "greedy":  # the greedy caption may be worth more, or less
        assert said is None
    else:
        assert said is not None and "was worth the same: nothing could be learned" in said
        assert ("--set objective.baseline=mean" in said) == (baseline == "beam")
    words[0, 0] = torch.tensor(SAMPLES[1][1])
    assert doubt(words) is None and task.doubt({"epoch": 1}) is None
