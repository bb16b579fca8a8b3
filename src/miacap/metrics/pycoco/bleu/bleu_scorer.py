"""`BleuScorer` as in pycocoevalcap.bleu.bleu_scorer: add pairs, then ask."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from miacap import terminal
from miacap.errors import DataError
from miacap.metrics import bleu
from miacap.metrics.arrays import Floats
from miacap.metrics.corpus import Corpus, intern
from miacap.metrics.counting import overlaps


class BleuScorer:
    """Collect (candidate, references) pairs of tokenised sentences."""

    def __init__(
        self, test: str | None = None, refs: Sequence[str] | None = None, n: int = 4
    ) -> None:
        self.n = n
        self.ctest: list[str] = []
        self.crefs: list[list[str]] = []
        if test is not None and refs is not None:
            self += (test, refs)

    def __iadd__(self, other: "tuple[str, Sequence[str]] | BleuScorer") -> Self:
        if isinstance(other, BleuScorer):
            self.ctest.extend(other.ctest)
            self.crefs.extend(other.crefs)
        else:
            self.ctest.append(other[0])
            self.crefs.append(list(other[1]))
        return self

    def size(self) -> int:
        """Number of pairs."""
        return len(self.ctest)

    def compute_score(
        self, option: str | None = None, verbose: int = 0
    ) -> tuple[list[float], list[list[float]]]:
        """Score all pairs.

        Args:
            option: "closest", "shortest" or "average" reference length; None takes
                "average" for one pair, else "closest".
            verbose: print the counts, as the original does.

        Raises:
            DataError: another option, or no pairs.
        """
        if not self.ctest:
            raise DataError("No pair was added: there is nothing to score.")
        if option is None:
            option = "average" if self.size() == 1 else "closest"
        corpus = intern(self.ctest, self.crefs)
        correct = overlaps(corpus, ["BLEU"], orders=self.n).correct
        assert correct is not None
        rows = bleu.statistics(corpus, correct).rows
        if option != "closest":
            rows[:, -1] = _lengths(corpus, option)
        sums = rows.sum(axis=0)
        scores = bleu.aggregate(sums[None])[0].tolist()
        if verbose > 0:
            _print(sums.tolist(), self.n)
        return scores, bleu.aggregate(rows).T.tolist()


def _lengths(corpus: Corpus, option: str) -> Floats:
    picture = corpus.picture[~corpus.candidate]
    lengths = corpus.lengths[~corpus.candidate].astype(np.float64)
    if option == "average":
        return np.bincount(picture, lengths, corpus.pictures) / corpus.references
    if option != "shortest":
        raise DataError(f"option {option!r}: closest, shortest or average.")
    shortest = np.full(corpus.pictures, np.inf)
    np.minimum.at(shortest, picture, lengths)
    return shortest


def _print(sums: list[float], n: int) -> None:
    whole = [int(value) for value in sums]
    counts = {
        "testlen": whole[-2],
        "reflen": whole[-1],
        "guess": whole[n : 2 * n],
        "correct": whole[:n],
    }
    terminal.result(counts)
    terminal.result(f"ratio: {(sums[-2] + 1e-15) / (sums[-1] + 1e-9)}")
