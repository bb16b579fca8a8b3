"""CIDEr-D rewards beside pycocoevalcap's CiderScorer: 50 pictures x 5 samples, in one process.

    python benchmarks/rewards.py [--json bench/rewards.json] [--rounds 5]

Both sides weigh by the same document frequencies (of 5,000 pictures); into CiderScorer they
and ln N are put from outside. Ours starts from word ids, the original from strings.
The sides take turns and give the same rewards to 1e-10.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pycocoevalcap.cider.cider_scorer import CiderScorer

from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.rewards import CiderReward
from miacap.metrics.speed import loops
from pairs import Row, Times, in_turns, save

PICTURES, BATCH, SAMPLES, LENGTH, EOS = 5000, 50, 5, 20, 2


class Crowd(list[Any]):
    """A list that says it is as long as the training set: CiderScorer takes ln N from it."""

    def __len__(self) -> int:
        return PICTURES


def drawn() -> tuple[dict[str, list[list[int]]], list[str], np.ndarray[Any, Any]]:
    """References, names of a batch, and samples that resemble the references."""
    chance = random.Random(0)
    weights = [1 / (n + 1) for n in range(8000)]

    def words() -> list[int]:
        return [4 + w for w in chance.choices(range(8000), weights, k=chance.randint(8, 14))]

    references = {str(n): [words() for _ in range(5)] for n in range(PICTURES)}
    names = chance.sample(sorted(references), BATCH)
    samples = np.zeros((BATCH, SAMPLES, LENGTH), dtype=np.int64)
    for row, name in enumerate(names):
        for column in range(SAMPLES):
            sentence = list(chance.choice(references[name]))
            for _ in range(3):
                sentence[chance.randrange(len(sentence))] = 4 + chance.randrange(9000)
            sentence.append(EOS)
            samples[row, column, : len(sentence)] = sentence
    return references, names, samples


def official(
    references: dict[str, list[list[int]]], names: list[str], samples: np.ndarray[Any, Any]
) -> Callable[[], np.ndarray[Any, Any]]:
    """A call that scores the batch with CiderScorer, given frequencies from outside."""
    ended = ([[str(w) for w in [*r, EOS]] for r in some] for some in references.values())
    counts = dict(DocumentFrequencies.count(ended).counts)

    def text(words: Any) -> str:
        return " ".join(str(word) for word in words if word)

    def call() -> np.ndarray[Any, Any]:
        scorer = CiderScorer(n=4, sigma=6.0)
        for row, name in enumerate(names):
            others = [text([*reference, EOS]) for reference in references[name]]
            for sample in samples[row]:
                scorer += (text(sample.tolist()), others)
        scorer.document_frequency = defaultdict(float, counts)
        scorer.crefs = Crowd(scorer.crefs)
        return np.array(scorer.compute_cider()).reshape(BATCH, SAMPLES)

    return call


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/rewards.json"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    references, names, samples = drawn()
    peer = official(references, names, samples)
    expected, repeats = peer(), 20
    kinds = {"numpy": False} | ({"numba": True} if loops(10**9) is not None else {})
    rows = []
    for label, compiled in kinds.items():
        reward = CiderReward(references, end=True, compiled=compiled)
        difference = float(np.abs(reward(names, samples) - expected).max())
        assert difference <= 1e-10, difference
        # Ours is too quick for the clock: many calls a turn.
        sides = {
            "peer": peer,
            "ours": lambda call=reward: [call(names, samples) for _ in range(repeats)],
        }
        times = in_turns(sides, options.rounds)
        ours = Times(times["ours"].least / repeats, times["ours"].median / repeats)
        work = f"CIDEr-D rewards, {BATCH} pictures x {SAMPLES} samples, 5 references"
        bar = "60" if compiled else ""
        rows.append(
            Row(work, "pycocoevalcap's CiderScorer", ours, times["peer"], bar=bar, note=label)
        )
    save(options.json, rows)


if __name__ == "__main__":
    main()
