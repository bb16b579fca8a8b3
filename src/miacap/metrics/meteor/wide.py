"""Extending paths at a position with very many options, as in a caption of one repeated word.

What `search` does with every option and path, done with those alone that can enter the beam: a
caption of thousands of words would otherwise take minutes. Later copies of a path carry more
distance, and the path that leaves the position out carries most; so once the best that may still
come is no better than the last of the beam, the rest of the path's options need not be looked at.
"""

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence

from miacap.metrics.meteor.matches import Option, Options
from miacap.metrics.meteor.paths import BEAM, CHUNK, POINT, Path, leave_out
from miacap.metrics.meteor.runs import Run


def extend(paths: Sequence[Path], here: Options, position: int) -> list[Path]:
    """Give a list whose best `BEAM` paths, in a stable order, are those of the whole extension.

    Args:
        paths: sorted, best first.
        here: options of the position.
        position: reference word.
    """
    if here.order is None:
        here.order = _Order(here.entries)
    order: _Order = here.order
    beam = _Beam()
    for path in paths:
        if path[0] - order.most[0] * POINT >= beam.worst:
            break
        if position < path[2]:
            beam.offer(path)
        else:
            _extend_one(path, order, position, beam)
    return beam.paths


class _Order:
    """Options in the order in which they are tried, with what lets most of them be passed over."""

    def __init__(self, entries: Sequence[Option]) -> None:
        self.entries = entries
        self.starts = [entry.start for entry in entries]
        points = [entry.points for entry in reversed(entries)]
        self.most = [*itertools.accumulate(points, max)][::-1]  # of an option and all after it
        breaks = [i for i in range(1, len(entries)) if self.starts[i] < self.starts[i - 1]]
        self._runs = [
            Run(entries, *ends) for ends in itertools.pairwise([0, *breaks, len(entries)])
        ]
        self.beginning: dict[int, list[int]] = {}
        for index, start in enumerate(self.starts):
            self.beginning.setdefault(start, []).append(index)

    def free(self, taken: int) -> Iterator[int]:
        """Give the indices of all options but those whose first word is taken."""
        for run in self._runs:
            free = run.mask & ~taken
            while free:
                yield from run.beginning[(free & -free).bit_length() - 1]
                free &= free - 1

    def distance(self, begin: int, end: int, taken: int, position: int) -> int:
        """Give the sum of |first word - position| of the free options from begin to before end."""
        return sum(
            run.distance(max(begin, run.begin), min(end, run.end), taken, position)
            for run in self._runs
            if begin < run.end and run.begin < end
        )


class _Beam:
    """Paths that were among the best 40 when they were offered."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.worst: float = math.inf  # the 40th best key so far
        self._keys: list[int] = []

    def offer(self, path: Path) -> None:
        """Take a path unless 40 before it are as good."""
        if path[0] < self.worst:
            self.paths.append(path)
            heapq.heappush(self._keys, -path[0])
            if len(self._keys) > BEAM:
                heapq.heappop(self._keys)
            if len(self._keys) == BEAM:
                self.worst = -self._keys[0]


def _extend_one(path: Path, order: _Order, position: int, beam: _Beam) -> None:
    key, following, beyond, taken, chain = path
    broken = CHUNK if following >= 0 else 0
    for index in order.free(taken):
        if key + broken - order.most[index] * POINT >= beam.worst:
            _continue((key, following, beyond, taken, chain), order, index, position, beam)
            return
        entry = order.entries[index]
        if not taken & entry.mask:
            cost = key if entry.start == following else key + broken
            beam.offer(_take(cost, path, entry, position))
            key += abs(entry.start - position)
    beam.offer(leave_out((key, following, beyond, taken, chain), position))


def _continue(path: Path, order: _Order, begin: int, position: int, beam: _Beam) -> None:
    """Offer, from an index on, only the copies that continue the open chunk: all others lose."""
    key, following, _, taken, _ = path
    if following < 0 or taken >> following & 1:
        return
    for index in order.beginning.get(following, ()):
        if index >= begin:
            if key - order.most[index] * POINT >= beam.worst:
                return
            key += order.distance(begin, index, taken, position)
            entry = order.entries[index]
            if not taken & entry.mask:
                beam.offer(_take(key, path, entry, position))
                key += abs(entry.start - position)
            begin = index + 1


def _take(key: int, path: Path, entry: Option, position: int) -> Path:
    return (
        key - entry.points * POINT,
        entry.start + entry.length,
        position + entry.reach,
        path[3] | entry.mask,
        ((position, entry), path[4]),
    )
