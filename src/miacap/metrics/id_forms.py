"""Ids of one picture in several spellings, and the form in which two files of ids agree.

number   COCO_val2014_000000391895.jpg, 000391895, 391895.0 and 391895 are 391895
stem     photos/dog.jpg, dog.png and dog are dog
name     photos/dog.jpg and dog.jpg are dog.jpg
"""

import re
from collections.abc import Callable, Collection
from typing import Literal, get_args

from miacap.errors import DataError, UnknownName
from miacap.tables.names import PHOTO_SUFFIXES

IdForm = Literal["name", "stem", "number"]

_DECIMAL = re.compile(r"(\d+)\.0+")


def _name(id: str) -> str:
    return id.replace("\\", "/").rpartition("/")[2]


def _stem(id: str) -> str:
    name = _name(id)
    suffix = next((s for s in PHOTO_SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]


def _number(id: str) -> str:
    """Give the last whole number in an id without leading zeros; an id without one stays."""
    decimal = _DECIMAL.fullmatch(id.strip())
    numbers = re.findall(r"\d+", decimal.group(1) if decimal else _stem(id))
    return (numbers[-1].lstrip("0") or "0") if numbers else id


_FORMS: dict[str, Callable[[str], str]] = {"name": _name, "stem": _stem, "number": _number}


def in_form(ids: Collection[str], form: str, what: str) -> dict[str, str]:
    """Give each id in a form.

    Args:
        ids: as they are.
        form: "name", "stem" or "number".
        what: the ids are of, for messages.

    Returns:
        the form's spelling by id.

    Raises:
        UnknownName: no such form.
        DataError: two ids would be the same.
    """
    if form not in _FORMS:
        raise UnknownName("form of ids", form, get_args(IdForm))
    result = {id: _FORMS[form](id) for id in ids}
    first: dict[str, str] = {}
    for id, spelled in result.items():
        if first.setdefault(spelled, id) != id:
            raise DataError(
                f"{what}: {first[spelled]} and {id} would both be {spelled} as {form}; "
                "choose another form of ids, or none."
            )
    return result


def offer(known: Collection[str], given: Collection[str]) -> str:
    """Name the form in which all ids of two sides fit, or give "".

    Nothing is offered where the ids of one side are all on the other as they are: pictures are
    missing there, and no form brings them.

    Args:
        known: ids of the references.
        given: ids of the candidates.
    """
    if set(known) <= set(given) or set(given) <= set(known):
        return ""
    for form in _FORMS:
        ours = {_FORMS[form](id): id for id in known}
        theirs = {_FORMS[form](id): id for id in given}
        if len(ours) < len(known) or len(theirs) < len(given):
            continue
        if ours.keys() <= theirs.keys() or theirs.keys() <= ours.keys():
            some = next(iter(ours.keys() & theirs.keys()))
            rest = "" if ours.keys() == theirs.keys() else " --allow-missing"
            return (
                f" With --ids {form}{rest} all of them fit: {ours[some]} and {theirs[some]} are "
                f"both {some}."
            )
    return ""
