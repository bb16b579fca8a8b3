"""What a path of METEOR's search is, and how paths compare."""

from typing import Any

BEAM = 40
"""Paths that are extended at a position."""

# One whole number sorts as the triple (-points, chunks, distance): no caption fills a field.
CHUNK = 1 << 64
POINT = 1 << 96

Path = tuple[int, int, int, int, Any]
"""Key, candidate word that would continue the open chunk (-1: none is open), first reference
position beyond its matches, candidate words taken (bits), chain of matches (last, the others)."""


def leave_out(path: Path, position: int) -> Path:
    """Go past a position: inside a match nothing changes, else the open chunk is closed."""
    key, following, beyond, taken, chain = path
    if following < 0 or position < beyond:
        return path
    return (key + CHUNK, -1, beyond, taken, chain)
