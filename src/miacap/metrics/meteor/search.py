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

from miacap.metrics.meteor import wide
from miacap.metrics.meteor.matches import Option, Options
from miacap.metrics.meteor.paths import BEAM, CHUNK, POINT, Path, leave_out

_KEY = itemgetter(0)
_MANY = 10  # options of a position from which it pays to pass over those that cannot win

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
    paths: list[Path] = [(0, -1, 0, 0, None)]
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
            paths = [leave_out(path, position) for path in paths]
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


def _follow(path: Path, entry: Option, position: int) -> Path:
    """Take a certain match; its distance burdens the path itself."""
    key, following, _, taken, chain = path
    start = entry.start
    key += abs(start - position) - entry.points * POINT
    if following not in (-1, start):
        key += CHUNK
    return (key, start + entry.length, position + entry.reach, taken, ((position, entry), chain))


def _extend(paths: Sequence[Path], here: Options, position: int) -> list[Path]:
    """Extend each path, best first, by what it can take at the position."""
    if len(here.entries) > _MANY:
        return wide.extend(paths, here, position)
    extended: list[Path] = []
    for path in paths:
        key, following, beyond, taken, chain = path
        if position < beyond:
            extended.append(path)
            continue
        for entry in here.entries:
            start, length, reach, _, mask, points = entry
            if not taken & mask:
                chunk = CHUNK if following not in (-1, start) else 0
                extended.append(
                    (
                        key + chunk - points * POINT,
                        start + length,
                        position + reach,
                        taken | mask,
                        ((position, entry), chain),
                    )
                )
                key += abs(start - position)
        extended.append(leave_out((key, following, beyond, taken, chain), position))
    return extended


def _best(paths: list[Path]) -> tuple[list[Match], int]:
    paths.sort(key=_KEY)
    closed = [
        (key + CHUNK if following >= 0 else key, chain)
        for key, following, _, _, chain in paths[:BEAM]
    ]
    key, chain = min(closed, key=_KEY)
    matches: list[Match] = []
    while chain is not None:
        (position, entry), chain = chain
        matches.append((entry.start, entry.length, position, entry.reach, entry.module))
    return matches[::-1], key % POINT // CHUNK
