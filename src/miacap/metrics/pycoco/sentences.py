"""What all drop-in scorers are called with: id -> tokenised sentences."""

from collections.abc import Iterable, Mapping, Sequence

from miacap.errors import DataError
from miacap.metrics.matching import few

Sentences = Mapping[object, Sequence[str]]


def sides(gts: Sentences, res: Sentences) -> tuple[list[str], list[list[str]]]:
    """Candidates and references in the order of ``gts``.

    Raises:
        DataError: different ids, not exactly one candidate, no reference.
    """
    if gts.keys() != res.keys():
        odd = [str(key) for key in gts.keys() ^ res.keys()]
        raise DataError(f"{len(odd)} ids are only in gts or only in res: {few(sorted(odd))}.")
    for key, captions in res.items():
        if isinstance(captions, str) or len(captions) != 1:
            raise DataError(f"res[{key!r}] must be a list of one sentence, not {captions!r:.60}.")
    for key, captions in gts.items():
        if isinstance(captions, str) or not captions:
            raise DataError(f"gts[{key!r}] must be a list of sentences, not {captions!r:.60}.")
    return [res[key][0] for key in gts], [list(gts[key]) for key in gts]


def columns(rows: Iterable[Sequence[float]]) -> list[list[float]]:
    """Turn rows of numbers into lists of columns."""
    return [list(column) for column in zip(*rows, strict=True)]
