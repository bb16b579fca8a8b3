"""Which candidate belongs to which references: ids checked both ways before anything is counted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from miacap.errors import DataError
from miacap.tables.names import text_id

References = Mapping[str, Sequence[str]] | Mapping[int, Sequence[str]] | Sequence[Sequence[str]]
Candidates = Mapping[str, str] | Mapping[int, str] | Sequence[str]

_FEW = 5


@dataclass(frozen=True)
class Pairs:
    """Pictures to score, in the references' order.

    Attributes:
        ids: the pictures' ids.
        references: one or more captions a picture.
        candidates: one caption a picture.
        notes: what ``allow_missing`` left out, in words.
    """

    ids: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    candidates: tuple[str, ...]
    notes: tuple[str, ...] = ()


def match(references: References, candidates: Candidates, allow_missing: bool = False) -> Pairs:
    """Pair candidates with references by id, or by place where both are lists.

    Args:
        references: id -> captions, or a list of lists of captions.
        candidates: id -> caption (or a list of one), or a list of captions.
        allow_missing: score the pictures that have both sides instead of refusing.

    Raises:
        DataError: ids that only one side has, a picture without references, a wrong type,
            nothing to score.
    """
    known = _mapping(references, "references")
    given = _mapping(candidates, "candidates")
    if isinstance(references, Mapping) != isinstance(candidates, Mapping):
        raise DataError(
            "References and candidates must both be mappings (by id) or both lists (by place)."
        )
    texts = {key: _references(key, value) for key, value in known.items()}
    without = [key for key, captions in texts.items() if not captions]
    problems = _problems(
        ("{} without a candidate: {}", [key for key in texts if key not in given]),
        ("{} with a candidate but no such references: {}", [k for k in given if k not in texts]),
        ("{} with an empty list of references: {}", without),
    )
    if problems and not allow_missing:
        advice = _folders(texts, given) or (
            " Allow missing pictures (--allow-missing) to score the others."
        )
        raise DataError(
            f"References and candidates do not fit together: {'; '.join(problems)}.{advice}"
        )
    ids = tuple(key for key, captions in texts.items() if captions and key in given)
    if not ids:
        raise DataError(
            "Nothing to score: no picture has both a candidate and references "
            f"({len(texts)} ids of references, {len(given)} of candidates)."
            + _folders(texts, given)
        )
    return Pairs(
        ids,
        tuple(texts[key] for key in ids),
        tuple(_candidate(key, given[key]) for key in ids),
        tuple(f"left out: {problem}" for problem in problems),
    )


def few(ids: Iterable[str]) -> str:
    """The first few ids, and how many more there are."""
    names = list(ids)
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _mapping(value: object, what: str) -> dict[str, object]:
    if isinstance(value, Mapping):
        result: dict[str, object] = {}
        for key, item in value.items():
            name = text_id(key, what)
            if name in result:
                raise DataError(f"{what}: the id {name} occurs as text and as a number.")
            result[name] = item
        return result
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise DataError(f"{what}: expected a mapping by id or a list, not {type(value).__name__}.")
    return {str(place): item for place, item in enumerate(value)}


def _references(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise DataError(
            f"references of {key}: expected a list of captions, got {value!r:.60}; "
            "write [caption] where there is only one."
        )
    captions = tuple(value)
    for caption in captions:
        if not isinstance(caption, str):
            raise DataError(f"references of {key}: a caption is text, not {caption!r:.60}.")
    return captions


def _candidate(key: str, value: object) -> str:
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise DataError(f"candidate of {key}: expected one caption, got {value!r:.60}.")
    return value


def _folders(known: Iterable[str], given: Iterable[str]) -> str:
    """Say so where ids are equal but for a folder, as after captioning a folder of photos."""
    last = {key.rpartition("/")[2]: key for key in known}
    for key in given:
        other = last.get(key.rpartition("/")[2], key)
        if other != key:
            return (
                f" Some ids differ by their folder alone ({other} and {key}): "
                "write the same ids on both sides."
            )
    return ""


def _problems(*problems: tuple[str, list[str]]) -> list[str]:
    return [
        text.format(f"{len(ids)} picture{'s' if len(ids) > 1 else ''}", few(ids))
        for text, ids in problems
        if ids
    ]
