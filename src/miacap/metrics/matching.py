"""Which candidate belongs to which references: ids checked both ways before anything is counted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from miacap.errors import DataError
from miacap.metrics.id_forms import in_form, offer
from miacap.reading import short
from miacap.tables.names import same_form, text_id
from miacap.wording import counted, first_names

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
        notes: what `allow_missing` left out, in words.
    """

    ids: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    candidates: tuple[str, ...]
    notes: tuple[str, ...] = ()


def match(
    references: References,
    candidates: Candidates,
    allow_missing: bool = False,
    *,
    count_empty: bool = False,
    ids: str | None = None,
) -> Pairs:
    """Pair candidates with references by id, or by place where both are lists.

    Ids are compared in Unicode NFC. References that are blank are left out with a note.

    Args:
        references: id -> captions, or a list of lists of captions.
        candidates: id -> caption (or a list of one), or a list of captions.
        allow_missing: score the pictures that have both sides instead of refusing.
        count_empty: keep blank references, as the official evaluation does.
        ids: the form in which ids are compared, see `id_forms`; None takes them as they are.

    Raises:
        DataError: ids that only one side has, a picture without references, a wrong type,
            nothing to score.
        UnknownName: no such form of ids.
    """
    known = _mapping(references, "references", ids)
    given = _mapping(candidates, "candidates", ids)
    if isinstance(references, Mapping) != isinstance(candidates, Mapping):
        raise DataError(
            "References and candidates must both be mappings (by id) or both lists (by place)."
        )
    lists = {key: _references(key, side.value) for key, side in known.items()}
    texts = lists if count_empty else {key: _not_blank(some) for key, some in lists.items()}
    problems = _problems(
        ("{} without a candidate: {}", [key for key in texts if key not in given]),
        ("{} with a candidate but no such references: {}", [k for k in given if k not in texts]),
        ("{} with an empty list of references: {}", [k for k, some in texts.items() if not some]),
    )
    if problems and not allow_missing:
        otherwise = " Allow missing pictures (--allow-missing) to score the others."
        advice = _advice(texts, given, otherwise)
        raise DataError(
            f"References and candidates do not fit together: {'; '.join(problems)}.{advice}"
        )
    keys = [key for key, captions in texts.items() if captions and key in given]
    if not keys:
        raise DataError(
            "Nothing to score: no picture has both a candidate and references "
            f"({counted(len(texts), 'id')} of references, {len(given)} of candidates)."
            + _advice(texts, given)
        )
    notes = [f"left out: {problem}" for problem in problems]
    return Pairs(
        tuple(known[key].id for key in keys),
        tuple(texts[key] for key in keys),
        tuple(_candidate(key, given[key].value) for key in keys),
        (*notes, *_spellings(known, given, keys, ids), *_blank_notes(lists, texts, keys)),
    )


@dataclass(frozen=True)
class _Side:
    """What one side says of a picture: its id as written there (or in a form), and the value."""

    id: str
    value: object


def _two(ids: Mapping[str, object]) -> str:
    names = [short(id) for id in list(ids)[:2]]
    return " and ".join(names) + (" ..." if len(ids) > 2 else "")


def _advice(known: Mapping[str, object], given: Mapping[str, object], otherwise: str = "") -> str:
    """Say how ids that do not fit might, and show two of each side where they share nothing."""
    if known.keys() == given.keys():
        return otherwise
    if not known or not given:
        return ""
    alone = not known.keys() & given.keys()  # then there are no others to score
    fitting = _folders(known, given) + offer(known.keys(), given.keys())
    advice = fitting or ("" if alone else otherwise)
    if alone:
        advice += (
            f" No id is on both sides: references have {_two(known)}, candidates {_two(given)}."
        )
    return advice


def _spellings(
    known: Mapping[str, _Side], given: Mapping[str, _Side], keys: Iterable[str], ids: str | None
) -> list[str]:
    if ids is not None:
        return [f"ids are compared by their {ids}."]
    other = sum(known[key].id != given[key].id for key in keys)
    differ = counted(other, "id differs", "ids differ")
    return [f"{differ} by Unicode form alone; read as equal."] if other else []


def _blank_notes(
    lists: Mapping[str, tuple[str, ...]], texts: Mapping[str, tuple[str, ...]], keys: Iterable[str]
) -> list[str]:
    keys = list(keys)
    notes = []
    fewer = [len(lists[key]) - len(texts[key]) for key in keys]
    if any(fewer):
        pictures = counted(sum(number > 0 for number in fewer), "picture")
        notes.append(
            f"left out: {counted(sum(fewer), 'empty reference')} of {pictures}; the official "
            "evaluation counts them (--count-empty)."
        )
    blank = [key for key in keys if not any(text.strip() for text in texts[key])]
    if blank:
        notes.append(
            f"{counted(len(blank), 'picture')} with nothing but empty references: {few(blank)}; "
            "no caption can score there. Leave them out of both files."
        )
    return notes


def _not_blank(captions: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out blank captions, but for a picture that has no other."""
    return tuple(caption for caption in captions if caption.strip()) or captions


def few(ids: Iterable[str]) -> str:
    """The first few ids, and how many more there are."""
    return first_names((id if len(id) <= 80 else f"{id[:77]}..." for id in ids), _FEW)


def _mapping(value: object, what: str, form: str | None) -> dict[str, _Side]:
    if isinstance(value, Mapping):
        result: dict[str, _Side] = {}
        for key, item in value.items():
            id = text_id(key, what)
            name = same_form(id)
            if name in result:
                raise DataError(
                    f"{what}: the id {name} occurs as text and as a number."
                    if result[name].id == id
                    else f"{what}: two ids are {name}, in two Unicode forms; keep one."
                )
            result[name] = _Side(id, item)
        if form is not None:
            spelled = in_form(result, form, what)
            result = {
                spelled[name]: _Side(spelled[name], side.value) for name, side in result.items()
            }
        return result
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise DataError(f"{what}: expected a mapping by id or a list, not {type(value).__name__}.")
    return {str(index): _Side(str(index), item) for index, item in enumerate(value)}


def _references(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise DataError(
            f"references of {key}: expected a list of captions, got {short(value)}; "
            "write [caption] where there is only one."
        )
    captions = tuple(value)
    for caption in captions:
        if not isinstance(caption, str):
            raise DataError(f"references of {key}: a caption is text, not {short(caption)}.")
    return captions


def _candidate(key: str, value: object) -> str:
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise DataError(f"candidate of {key}: expected one caption, got {short(value)}.")
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
    return [text.format(counted(len(ids), "picture"), few(ids)) for text, ids in problems if ids]
