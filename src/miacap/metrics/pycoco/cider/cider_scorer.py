"""`CiderScorer` as in pycocoevalcap.cider.cider_scorer: add pairs, then ask."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from miacap.errors import DataError
from miacap.metrics import cider
from miacap.metrics.arrays import Floats
from miacap.metrics.corpus import intern
from miacap.metrics.counting import overlaps


class CiderScorer:
    """Collect (candidate, references) pairs of tokenised sentences."""

    def __init__(
        self,
        test: str | None = None,
        refs: Sequence[str] | None = None,
        n: int = 4,
        sigma: float = 6.0,
    ) -> None:
        self.n = n
        self.sigma = sigma
        self.ctest: list[str] = []
        self.crefs: list[list[str]] = []
        if test is not None and refs is not None:
            self += (test, refs)

    def __iadd__(self, other: "tuple[str, Sequence[str]] | CiderScorer") -> Self:
        if isinstance(other, CiderScorer):
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
    ) -> tuple[np.float64, Floats]:
        """Corpus score and pictures' scores; both arguments are there for the original's sake.

        Raises DataError where no pair was added.
        """
        if not self.ctest:
            raise DataError("No pair was added: there is nothing to score.")
        corpus = intern(self.ctest, self.crefs)
        similarity = overlaps(corpus, [cider.NAME], orders=self.n, sigma=self.sigma).similarity
        assert similarity is not None
        values = cider.statistics(corpus, similarity).per_picture[:, 0]
        return np.float64(np.mean(values)), values
