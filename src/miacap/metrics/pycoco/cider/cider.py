"""`Cider` as in pycocoevalcap.cider.cider; the metric is CIDEr-D, `miacap.metrics.cider`."""

from collections.abc import Sequence

import numpy as np

from miacap.metrics.arrays import Floats
from miacap.metrics.pycoco.cider.cider_scorer import CiderScorer
from miacap.metrics.pycoco.sentences import Sentences, sides


class Cider:
    """CIDEr-D with the document frequencies of the call's references."""

    def __init__(
        self,
        test: str | None = None,
        refs: Sequence[str] | None = None,
        n: int = 4,
        sigma: float = 6.0,
    ) -> None:
        self._n = n
        self._sigma = sigma

    def compute_score(self, gts: Sentences, res: Sentences) -> tuple[np.float64, Floats]:
        """Score id -> [candidate] against id -> references: corpus score, pictures' scores."""
        scorer = CiderScorer(n=self._n, sigma=self._sigma)
        for candidate, references in zip(*sides(gts, res), strict=True):
            scorer += (candidate, references)
        return scorer.compute_score()

    def method(self) -> str:
        """The name that is printed."""
        return "CIDEr"
