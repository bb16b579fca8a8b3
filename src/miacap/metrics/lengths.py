"""Captions too long for METEOR or SPICE: how many words these read, and how it is said.

Both search; hostile captions (a few related words, thousands of times) cost time that grows with
the square of their length or faster. Up to the limits, scores are the official ones; whatever
stands after them is left out, with a warning that names the picture.
"""

from collections.abc import Iterable, Mapping, Sequence

from miacap.metrics.matching import few
from miacap.wording import by_number, first_names

METEOR = 4_000
"""Words of a caption that METEOR reads: a pair of that length costs at most 2 to 4 CPU seconds."""

SPICE = 2_000
"""Words of a caption that SPICE reads: a pair of that length costs at most about 5 CPU seconds."""

LIMITS = {"METEOR": METEOR, "SPICE": SPICE}

_NAMED = 3


def longest(groups: Iterable[Iterable[Sequence[str]]], limit: int) -> dict[int, int]:
    """Give index of the picture -> words of its longest caption, where one has more than a limit.

    Args:
        groups: for each picture, its captions as words.
        limit: words that are read.
    """
    most = {index: max(map(len, group), default=0) for index, group in enumerate(groups)}
    return {index: words for index, words in most.items() if words > limit}


def warning(metric: str, beyond: Mapping[int, int], ids: Sequence[object]) -> str:
    """Say what a metric left out.

    Args:
        metric: "METEOR" or "SPICE".
        beyond: what `longest` gave.
        ids: the pictures' names.
    """
    named = [f"{few([str(ids[index])])} ({words:,} words)" for index, words in beyond.items()]
    pictures = by_number(len(named), "picture", "pictures")
    return (
        f"{metric} reads the first {LIMITS[metric]:,} words of a caption; the rest is left out at "
        f"{pictures} {first_names(named, _NAMED)}."
    )
