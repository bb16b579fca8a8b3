"""`Rouge` as in pycocoevalcap.rouge.rouge; the metric is ROUGE-L, `miacap.metrics.rouge`."""

from collections.abc import Sequence

import numpy as np

from miacap.metrics import rouge
from miacap.metrics.arrays import Floats
from miacap.metrics.corpus import intern, intern_at_blanks
from miacap.metrics.pycoco.sentences import Sentences, sides


class Rouge:
    """ROUGE-L."""

    def __init__(self) -> None:
        self.beta = rouge.BETA

    def calc_score(self, candidate: Sequence[str], refs: Sequence[str]) -> float:
        """Score one picture: [candidate] against its references."""
        return float(self._scores([candidate[0]], [list(refs)])[0])

    def compute_score(self, gts: Sentences, res: Sentences) -> tuple[np.float64, Floats]:
        """Score id -> [candidate] against id -> references: corpus score, pictures' scores."""
        values = self._scores(*sides(gts, res))
        return np.float64(np.mean(values)), values

    def _scores(self, candidates: list[str], references: list[list[str]]) -> Floats:
        known = intern(candidates, references)
        return rouge.statistics(intern_at_blanks(candidates, references, known)).per_picture[:, 0]

    def method(self) -> str:
        """The name that is printed."""
        return "Rouge"
