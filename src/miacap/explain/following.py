"""Attention followed back through the refiner, to regions and concepts of the photo.

    S_0 = Id, S_n as in [eq:rollout]        of regions and of concepts
    a_t S_n                                 word t's attention on what S_n stands for

A captioner's rows are regions, concepts or pairs of both, refined or not; which, its `Attention`
and the source it is fed say. Nothing here knows a family of captioners.
"""

from collections.abc import Sequence

import numpy as np

from miacap.captioners import Attention, Trace
from miacap.explain.record import Array, Attended, Refinement
from miacap.refiner import StepTrace, accumulate

__all__ = ["RESIDUAL", "followed", "refinement"]

RESIDUAL = 0.5
"""r of [eq:rollout]."""

_MANY = 4
"""More attentions than these of one kind (heads of layers) also have a mean."""


def refinement(trace: Sequence[StepTrace], regions: int, concepts: int) -> Refinement | None:
    """Accumulate what a refiner attended to; None where it took no step.

    Args:
        trace: of one picture without padding.
        regions: R.
        concepts: M.
    """
    known = [step for step in trace if step.stream in ("regions", "concepts")]
    if not known:
        return None
    last = max(step.iteration for step in known)
    return Refinement(
        last,
        RESIDUAL,
        _rolled(known, "regions", regions, last),
        _rolled(known, "concepts", concepts, last),
    )


def _rolled(
    trace: Sequence[StepTrace], stream: str, count: int, last: int
) -> tuple[Array | None, ...]:
    if count == 0:
        return (None,) * (last + 1)
    rolled: list[Array | None] = [np.eye(count, dtype=np.float32)]
    steps = [step.iteration for step in trace if step.stream == stream]
    matrices = accumulate(trace, stream, RESIDUAL) if steps else ()
    after = {n: matrix[0].float().cpu().numpy() for n, matrix in zip(steps, matrices, strict=True)}
    for iteration in range(1, last + 1):
        rolled.append(after.get(iteration, rolled[-1]))  # no step of the stream: as it was
    return tuple(rolled)


def followed(
    trace: Trace,
    source: str,
    rolled: Refinement | None,
    regions: int,
    concepts: int,
    paired: bool,
) -> tuple[Attended, ...]:
    """Give every attention of a trace, and the mean of many of one kind first.

    Args:
        trace: of one picture with one caption, without padding.
        source: what the captioner is fed.
        rolled: what its refiner did.
        regions: R.
        concepts: M.
        paired: whether row i is region i and concept i, where nothing is refined.
    """
    found = [
        _one(name, attention, source, rolled, regions, concepts, paired)
        for name, attention in trace.attentions.items()
    ]
    alike = {(one.over, one.weights.shape) for one in found}
    if len(found) > _MANY and len(alike) == 1:
        found.insert(0, _mean(found))
    return tuple(found)


def _one(
    name: str,
    attention: Attention,
    source: str,
    rolled: Refinement | None,
    regions: int,
    concepts: int,
    paired: bool,
) -> Attended:
    weights: Array = attention.weights[0, 0].float().cpu().numpy()
    over, kinds = attention.over, ("regions", "concepts")
    parts: dict[str, Array] = {}
    if over == "pairs":
        # Where nothing was refined and counts may differ, a row stands for a concept alone.
        known = kinds if paired or rolled is not None else kinds[1:]
        parts = dict.fromkeys(known, weights)
    elif over == "both":  # the last rows are the concepts'
        last = None if rolled is None else rolled.concepts[-1]
        count = concepts if last is None else len(last)
        parts = {"regions": weights[:, :-count], "concepts": weights[:, -count:]}
    elif source in kinds and not paired and rolled is not None:
        # On the rows of its guide a refined stream says the guide's name; it holds its own kind.
        parts = {source: weights}
    else:
        parts = {over: weights}
    views = {
        kind: _through(own, _steps(rolled, kind, source, regions, concepts))
        for kind, own in parts.items()
    }
    return Attended(name, over, weights, views.get("regions", ()), views.get("concepts", ()))


def _steps(
    rolled: Refinement | None, kind: str, source: str, regions: int, concepts: int
) -> tuple[Array | None, ...]:
    """Give S_0 .. S_N of what a captioner reads of a kind: S_0 alone where it is not refined."""
    count = regions if kind == "regions" else concepts
    first = np.eye(count, dtype=np.float32)
    if rolled is None:
        return (first,)
    if source in ("regions", "concepts") and source != kind:
        return (first,) * (rolled.iterations + 1)
    return rolled.regions if kind == "regions" else rolled.concepts


def _through(weights: Array, rolled: Sequence[Array | None]) -> tuple[Array | None, ...]:
    """a_t S_n for every n; None where there are other rows than those attended to."""
    return tuple(
        None if matrix is None or len(matrix) != weights.shape[1] else weights @ matrix
        for matrix in rolled
    )


def _mean(found: Sequence[Attended]) -> Attended:
    def mean(arrays: Sequence[Array | None]) -> Array | None:
        there = [array for array in arrays if array is not None]
        return np.mean(there, axis=0, dtype=np.float32) if len(there) == len(arrays) else None

    first = found[0]
    weights = mean([one.weights for one in found])
    assert weights is not None
    return Attended(
        f"mean of all {len(found)}",
        first.over,
        weights,
        tuple(mean(each) for each in zip(*(one.on_regions for one in found), strict=True)),
        tuple(mean(each) for each in zip(*(one.on_concepts for one in found), strict=True)),
    )
