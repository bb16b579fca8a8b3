"""CIDEr-D rewards beside pycocoevalcap's CiderScorer: 50 pictures x 5 samples, in one process.

    python benchmarks/rewards.py [--json bench/rewards.json] [--rounds 5]

Both sides weigh by the same document frequencies (of 5,000 pictures); into CiderScorer they
and ln N are put from outside. Ours starts from word ids, the original from strings.
CPU seconds of one process; the best of the rounds counts.
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pycocoevalcap.cider.cider_scorer import CiderScorer

from miacap.files import write_json
from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.rewards import CiderReward
from miacap.metrics.speed import loops

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


def best(rounds: int, call: Callable[[], Any]) -> tuple[float, Any]:
    """The least CPU seconds of some calls, and what they gave."""
    times, result = [], None
    for _ in range(rounds):
        start = time.process_time()
        result = call()
        times.append(time.process_time() - start)
    return min(times), result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/rewards.json"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    references, names, samples = drawn()
    slow, expected = best(options.rounds, official(references, names, samples))
    rows = {"pycocoevalcap CiderScorer": slow}
    sides = [("miacap, numpy", False)]
    if loops(10**9) is not None:
        sides.append(("miacap[fast], numba", True))
    for label, compiled in sides:
        reward = CiderReward(references, end=True, compiled=compiled)
        reward(names, samples)  # compiled before the clock runs
        rows[label], found = best(20 * options.rounds, lambda score=reward: score(names, samples))
        difference = float(np.abs(found - expected).max())
        assert difference <= 1e-10, difference
    print(f"{BATCH} pictures x {SAMPLES} samples, 5 references each")
    print(f"{'':<30}{'CPU ms':>9}{'ratio':>8}")
    for label, seconds in rows.items():
        print(f"{label:<30}{seconds * 1000:>9.2f}{slow / seconds:>8.1f}")
    ratios = {label: slow / seconds for label, seconds in rows.items()}
    write_json(options.json, {"cpu_seconds": rows, "ratios": ratios})


if __name__ == "__main__":
    main()
