"""METEOR's search for the best alignment: a beam over the reference's positions.

A path is better with more points, then fewer chunks, then a smaller distance; ties go to the path
that was made first. Before the beam, options that stand alone are certain: the only one at its
position, with every word on both sides covered by it alone.

At a free position a path is extended by each option whose candidate words are free, in order, and
last by leaving the position out. Chunks count where a match does not continue the one before, or
where a position is left out. Three habits of the official program are kept, as they decide ties:
points are whole numbers (see `matches.option`); the distance |start - position| of an option is
added to the path that is extended after its copy was made, so that it burdens the later siblings
only; and paths are sorted once more before the open chunk is closed, and again after.
Source: Denkowski & Lavie 2014, section 2 (alignment); details by comparison with its output.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from miacap.metrics.meteor.matches import Option, Options

BEAM = 40

# One whole number sorts as the triple (-points, chunks, distance): no caption fills a field.
_CHUNK = 1 << 64
_POINT = 1 << 96

# A path: key, candidate word that would continue the open chunk (-1: none is open), first
# reference position beyond its matches, candidate words taken (bits), chain of matches.
_Path = tuple[int, int, int, int, Any]
_KEY = itemgetter(0)

Match = tuple[int, int, int, int, int]
"""Candidate start and length, reference start and length, module."""


def align(options: Sequence[Options]) -> tuple[list[Match], int]:
    """Choose matches.

    Args:
        options: for each reference position, what may begin there.

    Returns:
        The matches by reference position, and the number of chunks.
    """
    certain = _certain(options)
    paths: list[_Path] = [(0, -1, 0, 0, None)]
    for position, here in enumerate(options):
        if len(paths) > 1:
            paths.sort(key=_KEY)
            del paths[BEAM:]
        if position in certain:
            entry = here.entries[0]
            paths = [_follow(path, entry, position) for path in paths]
        elif here.entries:
            paths = _extend(paths, here, position)
        else:
            paths = [_leave_out(path, position) for path in paths]
    return _best(paths)


def _certain(options: Sequence[Options]) -> set[int]:
    alone = [position for position, here in enumerate(options) if len(here.entries) == 1]
    if not alone:
        return set()
    once = twice = reach_once = reach_twice = 0
    for position, here in enumerate(options):
        if here.entries:
            twice |= here.twice | (once & here.once)
            once |= here.once
            reach = here.reach_once << position
            reach_twice |= here.reach_twice << position | (reach_once & reach)
            reach_once |= reach
    return {
        position
        for position in alone
        if not options[position].once & twice
        and not options[position].reach_once << position & reach_twice
    }


def _follow(path: _Path, entry: Option, position: int) -> _Path:
    """Take a certain match; its distance burdens the path itself."""
    key, following, _, taken, chain = path
    start = entry.start
    key += abs(start - position) - entry.points * _POINT
    if following not in (-1, start):
        key += _CHUNK
    return (key, start + entry.length, position + entry.reach, taken, ((position, entry), chain))


def _leave_out(path: _Path, position: int) -> _Path:
    key, following, beyond, taken, chain = path
    if following < 0 or position < beyond:
        return path
    return (key + _CHUNK, -1, beyond, taken, chain)


def _extend(paths: Sequence[_Path], here: Options, position: int) -> list[_Path]:
    """Extend each path, best first, by what it can take at the position."""
    most = max(entry.points for entry in here.entries) * _POINT
    extended: list[_Path] = []
    worst = None
    for path in paths:
        if worst is not None and path[0] - most >= worst:
            break  # sorted paths: nothing that follows can enter the beam
        if position < path[2]:
            extended.append(path)
        elif len(here.entries) <= BEAM:
            _copies(path, here, position, extended)
        else:
            _best_copies(path, here, position, extended)
        if len(extended) > 8 * BEAM:
            extended.sort(key=_KEY)
            del extended[BEAM:]
            worst = extended[-1][0]
    return extended


def _copies(path: _Path, here: Options, position: int, extended: list[_Path]) -> None:
    key, following, beyond, taken, chain = path
    for entry in here.entries:
        start, length, reach, _, mask, points = entry
        if not taken & mask:
            chunk = _CHUNK if following not in (-1, start) else 0
            extended.append(
                (
                    key + chunk - points * _POINT,
                    start + length,
                    position + reach,
                    taken | mask,
                    ((position, entry), chain),
                )
            )
            key += abs(start - position)
    extended.append(_leave_out((key, following, beyond, taken, chain), position))


def _best_copies(path: _Path, here: Options, position: int, extended: list[_Path]) -> None:
    """Do as `_copies`, without the copies that 40 better ones of the same path keep out.

    Later copies carry more distance and the path that leaves the position out carries most, so
    one that has no more points and does not continue a chunk loses to every earlier one.
    """
    key, following, beyond, taken, chain = path
    rest = _points_from(here)
    continuing = sum(entry.start == following for entry in here.entries)
    made: dict[int, int] = {}
    for place, entry in enumerate(here.entries):
        start, length, reach, _, mask, points = entry
        better = sum(count for other, count in made.items() if other >= rest[place])
        if better >= BEAM and not continuing:
            return
        continues = start == following
        continuing -= continues
        if not taken & mask:
            if better < BEAM or continues:
                chunk = 0 if continues or following < 0 else _CHUNK
                extended.append(
                    (
                        key + chunk - points * _POINT,
                        start + length,
                        position + reach,
                        taken | mask,
                        ((position, entry), chain),
                    )
                )
            made[points] = made.get(points, 0) + 1
            key += abs(start - position)
    extended.append(_leave_out((key, following, beyond, taken, chain), position))


def _points_from(here: Options) -> list[int]:
    """Give, for each entry, the most points of it and those after it."""
    if here.points_from is None:
        most, points = 0, []
        for entry in reversed(here.entries):
            most = max(most, entry.points)
            points.append(most)
        here.points_from = points[::-1]
    return here.points_from


def _best(paths: list[_Path]) -> tuple[list[Match], int]:
    paths.sort(key=_KEY)
    closed = [
        (key + _CHUNK if following >= 0 else key, chain)
        for key, following, _, _, chain in paths[:BEAM]
    ]
    key, chain = min(closed, key=_KEY)
    matches: list[Match] = []
    while chain is not None:
        (position, entry), chain = chain
        matches.append((entry.start, entry.length, position, entry.reach, entry.module))
    return matches[::-1], key % _POINT // _CHUNK
