"""Statistics kept apart from aggregation, so that resampling costs next to nothing.

A metric reduces every picture to a row of numbers once. A corpus score is a function
of the rows' *sums*: an interval needs new sums, never new counting.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from miacap.metrics.arrays import Floats


@dataclass(frozen=True)
class Statistics:
    """What a metric (or a family such as BLEU-1..4) knows of every picture.

    Attributes:
        names: the scores that `aggregate` gives, in its order.
        rows: pictures x columns.
        aggregate: sums of rows (R x columns) -> scores (R x names).
        per_picture: pictures x names.
        corpus: the official corpus scores, in the order of `names`.
    """

    names: tuple[str, ...]
    rows: Floats
    aggregate: Callable[[Floats], Floats]
    per_picture: Floats
    corpus: tuple[float, ...]


def of_means(name: str, values: Floats) -> Statistics:
    """Statistics of a metric whose corpus score is the mean of the pictures' scores."""
    values = np.asarray(values, dtype=np.float64)
    rows = np.stack([values, np.ones_like(values)], axis=1)
    return Statistics((name,), rows, mean_of_sums, values[:, None], (float(np.mean(values)),))


def mean_of_sums(sums: Floats) -> Floats:
    """Mean from (sum of values, number of values)."""
    return sums[:, :1] / sums[:, 1:]
