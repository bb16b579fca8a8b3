"""What all drop-in scorers are called with: id -> tokenised sentences."""

from collections.abc import Iterable, Mapping, Sequence

from miacap.errors import DataError
from miacap.metrics.matching import few
from miacap.wording import counted

Sentences = Mapping[object, Sequence[str]]


def sides(gts: Sentences, res: Sentences) -> tuple[list[str], list[list[str]]]:
    """Candidates and references in the order of `gts`.

    Raises:
        DataError: different ids, no picture at all, not exactly one candidate, no reference,
            or a sentence that is no text.
    """
    if gts.keys() != res.keys():
        odd = [str(key) for key in gts.keys() ^ res.keys()]
        number = counted(len(odd), "id is", "ids are")
        raise DataError(f"{number} only in gts or only in res: {few(sorted(odd))}.")
    if not gts:
        raise DataError("gts and res hold no picture: there is nothing to score.")
    for key, captions in res.items():
        if not _are_texts(captions) or len(captions) != 1:
            raise DataError(f"res[{key!r}] must be a list of one sentence, not {captions!r:.60}.")
    for key, captions in gts.items():
        if not _are_texts(captions) or not len(captions):
            raise DataError(f"gts[{key!r}] must be a list of sentences, not {captions!r:.60}.")
    return [res[key][0] for key in gts], [list(gts[key]) for key in gts]


def _are_texts(captions: object) -> bool:
    return (
        isinstance(captions, Iterable)
        and not isinstance(captions, str | Mapping)
        and all(isinstance(caption, str) for caption in captions)
    )
