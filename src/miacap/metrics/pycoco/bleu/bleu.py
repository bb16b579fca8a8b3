"""`Bleu` as in pycocoevalcap.bleu.bleu; the metric is `miacap.metrics.bleu`."""

from miacap.metrics.pycoco.bleu.bleu_scorer import BleuScorer
from miacap.metrics.pycoco.sentences import Sentences, sides


class Bleu:
    """BLEU-1 .. BLEU-n."""

    def __init__(self, n: int = 4) -> None:
        self._n = n

    def compute_score(
        self, gts: Sentences, res: Sentences, verbose: int = 1
    ) -> tuple[list[float], list[list[float]]]:
        """Score id -> [candidate] against id -> references.

        Returns:
            corpus scores of BLEU-1 .. n; for each of them the pictures' scores.
        """
        scorer = BleuScorer(n=self._n)
        for candidate, references in zip(*sides(gts, res), strict=True):
            scorer += (candidate, references)
        return scorer.compute_score(option="closest", verbose=verbose)

    def method(self) -> str:
        """The name that is printed."""
        return "Bleu"
