"""From counts to SPICE: precision, recall and F per picture, means over a corpus.

P = tp / candidate tuples, R = tp / reference tuples, F = 2PR / (P + R), 0 if nothing matched. A
category without a reference tuple has no value (NaN) and is left out of that category's mean;
"All" is 0 then. The corpus value is the mean of the pictures' F, not the F of summed counts.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from miacap.metrics.spice.categories import CATEGORIES
from miacap.metrics.spice.matching import Matching

Evaluation = dict[str, float]
"""pr, re, f, fn, numImages, tp, fp of one picture and category, under pycocoevalcap's names."""


def f_scores(statistics: NDArray[np.int64]) -> NDArray[np.float64]:
    """F of every picture and category: P x 7 from P x 7 x 3 counts; NaN where there is none."""
    return _ratios(statistics)[2]


def aggregate(
    statistics: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
    category: str = "All",
) -> NDArray[np.float64] | float:
    """Corpus SPICE from per-picture counts.

    Args:
        statistics: P x 7 x 3, as in `SpiceScores.statistics`.
        weights: how often each picture counts, R x P for R resamples at once or P for one.
        category: one of `CATEGORIES`.

    Returns:
        One value, or R of them for R x P weights; NaN where no weighted picture has the category.
    """
    values = f_scores(statistics)[:, CATEGORIES.index(category)]
    known = ~np.isnan(values)
    each = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = each[..., known].sum(axis=-1)
    summed = each[..., known] @ values[known]
    mean = np.divide(summed, total, out=np.full(np.shape(total), np.nan), where=total > 0)
    return mean if mean.ndim else float(mean)


@dataclass(frozen=True)
class SpiceScores:
    """SPICE of a set of pictures.

    Attributes:
        corpus: mean F over all tuples ("SPICE" in papers), between 0 and 1; 0 without pictures.
        statistics: P x 7 x 3 counts; the middle axis follows `CATEGORIES`, the last holds matched
            candidate tuples, candidate tuples, reference tuples.
        parser: label of what made the tuples; scores of different parsers do not compare.
        matchings: per picture what was matched, if asked for.
        beyond: index of a picture -> words of its longest caption, where one has more than
            `lengths.SPICE`; only so many were read.
    """

    corpus: float
    statistics: NDArray[np.int64]
    parser: str
    matchings: list[Matching] = field(default_factory=list, repr=False)
    beyond: dict[int, int] = field(default_factory=dict)

    @cached_property
    def categories(self) -> dict[str, float]:
        """Category to its corpus value; NaN if no picture's references have such a tuple."""
        return {name: float(aggregate(self.statistics, category=name)) for name in CATEGORIES}

    @cached_property
    def per_picture(self) -> list[dict[str, Evaluation]]:
        """Per picture what pycocoevalcap's `Spice` returns: category to its `Evaluation`."""
        precision, recall, f = _ratios(self.statistics)
        pictures: list[dict[str, Evaluation]] = []
        for picture, table in enumerate(self.statistics.tolist()):
            rows: dict[str, Evaluation] = {}
            for row, (name, (tp, size, wanted)) in enumerate(zip(CATEGORIES, table, strict=True)):
                rows[name] = {
                    "pr": float(precision[picture, row]),
                    "re": float(recall[picture, row]),
                    "f": float(f[picture, row]),
                    "fn": float(wanted - tp),
                    "numImages": 1.0,
                    "fp": float(size - tp),
                    "tp": float(tp),
                }
            pictures.append(rows)
        return pictures

    @cached_property
    def values(self) -> list[float]:
        """F over all tuples, per picture."""
        return [float(value) for value in f_scores(self.statistics)[:, 0]]


def scores_of(
    tables: list[NDArray[np.int64]], parser: str, matchings: list[Matching]
) -> SpiceScores:
    """Put the pictures' 7 x 3 tables together."""
    statistics = np.zeros((len(tables), len(CATEGORIES), 3), dtype=np.int64)
    for index, table in enumerate(tables):
        statistics[index] = table
    corpus = float(aggregate(statistics)) if tables else 0.0
    return SpiceScores(corpus, statistics, parser, matchings)


def _ratios(
    statistics: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall, F: each P x 7."""
    tp, size, wanted = (statistics[..., column].astype(np.float64) for column in range(3))
    precision = np.divide(tp, size, out=np.zeros_like(tp), where=size > 0)
    recall = np.divide(tp, wanted, out=np.zeros_like(tp), where=wanted > 0)
    both = precision + recall
    f = np.divide(2 * precision * recall, both, out=np.zeros_like(tp), where=both > 0)
    absent = wanted == 0
    absent[..., 0] = False
    for values in (precision, recall, f):
        values[absent] = np.nan
    return precision, recall, f
