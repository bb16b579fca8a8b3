"""Is the difference real? Intervals, paired bootstrap and permutation tests.

Pictures are resampled, never counted again: every metric is a function of sums of its
per-picture statistics, and CIDEr-D's document frequencies stay those of the full set
(Koehn, EMNLP 2004, for the bootstrap; Noreen 1989 for the permutation test). What is not
resampled: the references, and the training of the systems: two seeds of one model
often differ "significantly".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from miacap.errors import DataError, UnknownName
from miacap.metrics.arrays import Floats
from miacap.metrics.names import canonical
from miacap.metrics.scoring import Scores
from miacap.metrics.statistics import Statistics

_AT_ONCE = 100


@dataclass(frozen=True)
class Range:
    """A score with the interval in which it lies under resampling of the pictures."""

    score: float
    low: float
    high: float


@dataclass(frozen=True)
class Interval:
    """A difference a - b of two systems, with its interval and two-sided p.

    p is the chance, under resampling, of a difference on the other side of 0, doubled.
    """

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Permuted:
    """A difference a - b, and how often chance relabelling gives one at least as large."""

    difference: float
    p: float


def intervals(
    scores: Scores, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Range]:
    """Percentile interval of every score.

    Args:
        scores: what `score` gave.
        resamples: how many sets of pictures to draw, with replacement.
        seed: of the draws.
        level: share of the draws inside the interval.
    """
    drawn = _resampled([scores.statistics], len(scores.ids), resamples, seed)
    result = {}
    for name, column in _columns(scores.statistics, drawn[0]).items():
        if name in scores:
            low, high = _percentiles(column, level)
            result[name] = Range(scores[name], low, high)
    return {name: result[name] for name in scores}


def paired_bootstrap(
    a: Scores, b: Scores, metric: str, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Bootstrap the difference a - b in one metric, both on the same resampled pictures.

    Raises:
        DataError: the two were not scored on the same pictures and references.
        UnknownName: one of them lacks the metric.
    """
    return paired_bootstraps(a, b, [metric], resamples, seed, level)[canonical(metric)]


def paired_bootstraps(
    a: Scores,
    b: Scores,
    metrics: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """The same for several metrics (None: all that both have) on the same draws."""
    names, left, right = _comparable(a, b, metrics)
    drawn = _resampled([left, right], len(a.ids), resamples, seed)
    first, second = _columns(left, drawn[0]), _columns(right, drawn[1])
    result = {}
    for name in names:
        difference = first[name] - second[name]
        low, high = _percentiles(difference, level)
        tail = min(int((difference <= 0).sum()), int((difference >= 0).sum()))
        p = min(1.0, 2 * (tail + 1) / (resamples + 1))
        result[name] = Interval(a[name] - b[name], low, high, p)
    return result


def permutation_test(
    a: Scores, b: Scores, metric: str, resamples: int = 1000, seed: int = 0
) -> Permuted:
    """Swap the two systems' captions picture by picture at random.

    p counts the swaps whose difference is at least as large, in either direction.
    Raises as `paired_bootstrap`.
    """
    names, left, right = _comparable(a, b, [metric])
    part, other = _family(left, names[0]), _family(right, names[0])
    index = part.names.index(names[0])
    change = part.rows - other.rows
    top, bottom = part.rows.sum(axis=0), other.rows.sum(axis=0)
    random = np.random.default_rng(seed)
    extreme = 0
    actual = a[metric] - b[metric]
    for size in _chunks(resamples):
        moved = random.integers(0, 2, (size, len(change))).astype(np.float64) @ change
        value = part.aggregate(top - moved)[:, index] - other.aggregate(bottom + moved)[:, index]
        # Slack for rounding: swapping nothing must count as equally large.
        extreme += int((np.abs(value) >= abs(actual) - 1e-12).sum())
    return Permuted(actual, (extreme + 1) / (resamples + 1))


@dataclass(frozen=True)
class Comparison:
    """What tells two systems apart, metric by metric.

    Attributes:
        intervals: metric -> difference first - other, its interval and p of the bootstrap.
        permuted: metric -> the same difference and p of the permutation test.
    """

    intervals: Mapping[str, Interval]
    permuted: Mapping[str, Permuted]


def compare(first: Scores, other: Scores, resamples: int = 1000, seed: int = 0) -> Comparison:
    """Test the differences first - other in all metrics that both have, in both ways.

    Raises:
        DataError: the two were not scored on the same pictures and references.
    """
    differences = paired_bootstraps(first, other, None, resamples, seed)
    permuted = {name: permutation_test(first, other, name, resamples, seed) for name in differences}
    return Comparison(differences, permuted)


def _comparable(
    a: Scores, b: Scores, metrics: Sequence[str] | None
) -> tuple[list[str], tuple[Statistics, ...], tuple[Statistics, ...]]:
    common = [name for name in a if name in b]
    names = common if metrics is None else [canonical(name) for name in metrics]
    for name in names:
        if name not in common:
            raise UnknownName("metric that both systems were scored with", name, common)
    for name in names:
        if a.signatures[name] != b.signatures[name]:
            raise DataError(
                f"{name} of the two systems does not compare: {a.signatures[name]} against "
                f"{b.signatures[name]}."
            )
    if a.ids == b.ids:
        return names, a.statistics, b.statistics
    if set(a.ids) != set(b.ids):
        raise DataError(
            f"The two systems were scored on different pictures ({len(a.ids)} and "
            f"{len(b.ids)}, {len(set(a.ids) & set(b.ids))} in common)."
        )
    rows = {name: row for row, name in enumerate(b.ids)}
    order = [rows[name] for name in a.ids]
    return (
        names,
        a.statistics,
        tuple(
            Statistics(s.names, s.rows[order], s.aggregate, s.per_picture[order], s.corpus)
            for s in b.statistics
        ),
    )


def _family(statistics: Sequence[Statistics], metric: str) -> Statistics:
    return next(part for part in statistics if metric in part.names)


def _resampled(
    systems: Sequence[Sequence[Statistics]], pictures: int, resamples: int, seed: int
) -> list[list[Floats]]:
    """Of each system and family the scores of every resample (resamples x names)."""
    random = np.random.default_rng(seed)
    scores: list[list[list[Floats]]] = [[[] for _ in system] for system in systems]
    for size in _chunks(resamples):
        drawn = random.integers(0, pictures, (size, pictures)) + np.arange(size)[:, None] * pictures
        weights = np.bincount(drawn.ravel(), minlength=size * pictures).astype(np.float64)
        weights = weights.reshape(size, pictures)
        for system, results in zip(systems, scores, strict=True):
            for part, result in zip(system, results, strict=True):
                result.append(part.aggregate(weights @ part.rows))
    return [[np.concatenate(result) for result in results] for results in scores]


def _columns(statistics: Sequence[Statistics], drawn: Sequence[Floats]) -> dict[str, Floats]:
    return {
        name: values[:, column]
        for part, values in zip(statistics, drawn, strict=True)
        for column, name in enumerate(part.names)
    }


def _chunks(resamples: int) -> Iterator[int]:
    if resamples < 1:
        raise DataError(f"{resamples} resamples: at least one is needed.")
    for start in range(0, resamples, _AT_ONCE):
        yield min(_AT_ONCE, resamples - start)


def _percentiles(values: Floats, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
