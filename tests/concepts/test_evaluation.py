"""Measures against plain loops."""

import math

import pytest
import torch

from miacap.concepts.evaluation import at_k, average_precision, base_rate, log_likelihood, measure


def plain_ap(scores: list[float], targets: list[bool]) -> float:
    """Sum over thresholds of (gain of recall) x precision."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [t for s, t in zip(scores, targets, strict=True) if s >= threshold]
        recall = sum(chosen) / sum(targets)
        total += (recall - before) * sum(chosen) / len(chosen)
        before = recall
    return total


@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_average_precision_is_the_plain_one_with_ties(levels: int) -> None:
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(levels, (40, 12), generator=generator).float() / levels
    targets = torch.rand(40, 12, generator=generator) < 0.3
    targets[:, 5] = False
    found = average_precision(scores, targets)
    for word in range(12):
        if word == 5:
            assert math.isnan(found[word])
            continue
        expected = plain_ap(scores[:, word].tolist(), targets[:, word].tolist())
        assert float(found[word]) == pytest.approx(expected, abs=1e-6)


def test_precision_and_recall_of_the_best_k() -> None:
    scores = torch.tensor([[0.9, 0.8, 0.1, 0.2], [0.5, 0.5, 0.5, 0.5], [1.0, 0.0, 0.0, 0.0]])
    targets = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]]).bool()
    # Picture 0: best two 0 and 1, one named of two. Picture 1: ties, so 0 and 1. Picture 2 names
    # nothing and is left out.
    assert at_k(scores, targets, 2) == (0.5, 0.5)
    assert at_k(scores, targets, 4) == (0.5, 1.0)
    assert at_k(scores, targets & False, 2) == (0.0, 0.0)


def test_measure_names_its_numbers_and_never_asks_for_more_words_than_there_are() -> None:
    scores = torch.rand(5, 20)
    targets = torch.rand(5, 20) < 0.5
    assert list(measure(scores, targets)) == ["mAP", "P@10", "R@10", "P@20", "R@20"]
    assert measure(scores, targets & False)["mAP"] == 0.0


def test_the_base_rate_is_the_frequency() -> None:
    targets = torch.rand(50, 8, generator=torch.Generator().manual_seed(1)) < 0.4
    frequencies = torch.rand(8)
    found = base_rate(frequencies, targets, k=(3,))
    assert found["mAP"] == pytest.approx(float(targets.float().mean()), abs=1e-6)
    best = frequencies.argsort(descending=True)[:3]
    some = targets[targets.any(1)]
    assert found["P@3"] == pytest.approx(float(some[:, best].float().mean()), abs=1e-6)


def test_log_likelihood_counts_every_picture_and_word() -> None:
    targets = torch.tensor([[True, False], [False, False]])
    probabilities = torch.tensor([[0.5, 0.25], [0.5, 0.0]])
    expected = (math.log(0.5) + math.log(0.75) + math.log(0.5) + math.log(1 - 1e-7)) / 2
    assert log_likelihood(probabilities, targets) == pytest.approx(expected, rel=1e-12)
    wrong = log_likelihood(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), targets)
    assert wrong == pytest.approx(2 * math.log(1e-7), rel=1e-6)  # 4 words, 2 pictures: never -inf
