"""Kendall's tau-b and tau-c, exact, with ties, in n log n steps (Knight, JASA 1966).

    S     = concordant - discordant pairs
    tau-b = S / sqrt((n0 - ties in x) (n0 - ties in y)),  n0 = n (n - 1) / 2
    tau-c = 2 S m / (n^2 (m - 1)),  m = the smaller number of different values

tau-b reaches 1 only if x has ties where y has; tau-c (Stuart) allows for unequal numbers of
values, as between a score and a rating of 1 to 4: papers of the field print both without
saying which. Worked example: x = 1, 2, 3 and y = 1, 2, 2: S = 2, n0 = 3, one tie in y:
tau-b = 2 / sqrt(3 * 2) = 0.816, tau-c = 2 * 2 * 2 / (9 * 1) = 0.889.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from miacap.errors import DataError
from miacap.metrics.arrays import Integers


@dataclass(frozen=True)
class Taus:
    """Both coefficients, between -1 and 1; not a number where one side never varies."""

    tau_b: float
    tau_c: float


def taus(x: Sequence[float], y: Sequence[float]) -> Taus:
    """Correlate two equally long rows of numbers. Raises DataError."""
    if len(x) != len(y) or len(x) < 2:
        raise DataError(f"Kendall's tau needs two equally long rows, not {len(x)} and {len(y)}.")
    left, right = _ranks(x), _ranks(y)
    count = len(left)
    order = np.lexsort((right, left))
    discordant = _inversions(right[order])
    pairs = count * (count - 1) // 2
    tied_left, tied_right = _ties(left), _ties(right)
    tied_both = _ties(left * (int(right.max()) + 1) + right)
    surplus = pairs - tied_left - tied_right + tied_both - 2 * discordant
    kinds = min(int(left.max()), int(right.max())) + 1
    if kinds == 1:
        return Taus(math.nan, math.nan)
    tau_b = surplus / math.sqrt((pairs - tied_left) * (pairs - tied_right))
    return Taus(tau_b, 2 * surplus * kinds / (count**2 * (kinds - 1)))


def _ranks(values: Sequence[float]) -> Integers:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise DataError("Kendall's tau needs finite numbers.")
    ranks: Integers = np.unique(array, return_inverse=True)[1].astype(np.int64)
    return ranks


def _ties(values: Integers) -> int:
    counts = np.unique(values, return_counts=True)[1]
    return sum(n * (n - 1) // 2 for n in counts.tolist())


def _inversions(values: Integers) -> int:
    """Pairs that stand in falling order: a merge sort, all blocks of a width at once."""
    count, inversions = len(values), 0
    top = int(values.max()) + 1
    index = np.arange(count)
    width = 1
    while width < count:
        block, right = index // (2 * width), (index // width) % 2 == 1
        # Both halves are sorted; with the block in front they are sorted all along.
        keys = block * top + values
        lefts = keys[~right]
        before = np.searchsorted(lefts, keys[right], side="right")
        ends = np.searchsorted(lefts, (block[right] + 1) * top, side="left")
        inversions += int((ends - before).sum())
        values = np.sort(keys) - block * top
        width *= 2
    return inversions
