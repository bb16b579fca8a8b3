"""`Spice` as in pycocoevalcap.spice.spice; the metric is `miacap.metrics.spice`."""

import warnings
from typing import Any

import numpy as np

from miacap.metrics import lengths
from miacap.metrics.pycoco.sentences import Sentences, sides
from miacap.metrics.spice import Spice as Scorer


class Spice:
    """SPICE. The parser is ours, not the Stanford one; papers should give its label, `parser`."""

    def __init__(self) -> None:
        self._scorer = Scorer()

    @property
    def parser(self) -> str:
        """Label of the parser that makes the tuples."""
        return self._scorer.parser.label

    def compute_score(
        self, gts: Sentences, res: Sentences
    ) -> tuple[np.float64, list[dict[str, dict[str, float]]]]:
        """Score id -> [candidate] against id -> references.

        Returns:
            corpus score; for each picture, *ids sorted*, category -> pr, re, f, fn,
            numImages, tp, fp (not a number where a category has no reference tuple).

        Raises:
            MissingExtra: the extra [spice] is not installed.
        """
        names: list[Any] = sorted(gts)
        candidates, references = sides({n: gts[n] for n in names}, {n: res[n] for n in names})
        scores = self._scorer.score(references, candidates)
        if scores.beyond:
            warnings.warn(lengths.warning("SPICE", scores.beyond, names), stacklevel=2)
        return np.float64(scores.corpus), scores.per_picture

    def method(self) -> str:
        """The name that is printed."""
        return "SPICE"
