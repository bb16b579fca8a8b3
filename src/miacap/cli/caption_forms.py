"""The forms in which `miacap caption` prints rows."""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miacap import terminal
from miacap.cli.reporting import csv_line

if TYPE_CHECKING:
    from miacap.captioning import Candidate, Row

_NUMBERED = re.compile(r"(?:COCO_[^_]+_(?=[0-9]{12}$))?([0-9]{1,18})")
"""COCO_val2014_000000391895, or digits alone."""

_COLUMNS = ("id", "caption", "log_probability", "error")
_SCORES = ("log_probability_per_word", "wrong", "unsure", "out_of_depth")


class Form(StrEnum):
    """How captions are printed."""

    text = "text"
    jsonl = "jsonl"
    csv = "csv"
    coco = "coco"


def laid_out(
    rows: Iterable["Row"], form: Form, alone: bool, scores: bool = False
) -> Iterator[list[str]]:
    """Give the lines of a form, each as its columns; text and coco tell errors apart.

    Args:
        rows: what was captioned; one with several candidates has a line of text for each.
        form: which form.
        alone: there is one photo, so that text does not name it.
        scores: tell of log-probabilities and confidence too.
    """
    if form is Form.csv:
        yield [csv_line([*_COLUMNS, *(_SCORES if scores else ())])]
    if form is Form.coco:
        yield [terminal.json_text(list(_coco(rows)))]
        return
    for row in rows:
        if form is Form.jsonl:
            told = row.record() if scores or row.candidates else row.to_json()
            yield [terminal.json_text(told)]
        elif form is Form.csv:
            yield [csv_line(_cells(row, scores))]
        elif row.error is not None:
            terminal.tell(f"miacap: {row.error}")
        else:
            named = [] if alone else [row.id]
            yield from ([*named, *columns] for columns in _texts(row, scores))


def image_id(name: str) -> int | str:
    """Give the number of a photo that COCO named, or that is all digits, and else its path."""
    number = _NUMBERED.fullmatch(Path(name).stem)
    return int(number[1]) if number else name


def _coco(rows: Iterable["Row"]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row.error is not None:
            terminal.tell(f"miacap: {row.error}")
        else:
            yield {"image_id": image_id(row.id), "caption": row.caption}


def _cells(row: "Row", scores: bool) -> list[Any]:
    told = row.to_json()
    cells = [told.get(name, "") for name in _COLUMNS]
    if not scores:
        return cells
    sure = row.confidence
    shares = ("", "", "") if sure is None else (sure.wrong, sure.unsure, sure.out_of_depth)
    return [*cells, row.per_word, *shares]


def _texts(row: "Row", scores: bool) -> Iterator[list[str]]:
    yield [row.caption or "", *(_told(row) if scores else ())]
    for other in row.candidates[1:]:
        yield [other.caption, *((_number(other),) if scores else ())]


def _told(row: "Row") -> tuple[str, ...]:
    if row.confidence is None:
        said = "not calibrated"
    elif row.confidence.wrong is None:
        said = "out of depth"
    else:
        said = f"{row.confidence.wrong:.0%} of such captions are wrong"
    return (_number(row), said)


def _number(one: "Row | Candidate") -> str:
    return "" if one.per_word is None else f"{one.per_word:.3f}"
