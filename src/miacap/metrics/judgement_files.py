"""Files of human judgements: Flickr8k's expert and crowd formats, and plain tables.

    expert   picture.jpg<TAB>other.jpg#2<TAB>1<TAB>1<TAB>2       three ratings, 1 to 4
    crowd    picture.jpg<TAB>other.jpg#2<TAB>0.33<TAB>1<TAB>2    share of yes, yes, no
    table    CSV, TSV, JSON Lines or JSON with a picture, a caption and ratings

The captions of the first two are ids: they stand in the file of references
(Flickr8k.token.txt). In a table a caption is text; `ratings` is a list (or numbers parted by
blanks, commas or semicolons), or there are columns rating_1, rating_2 ...
"""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from miacap.errors import DataError
from miacap.metrics.files import read_rows
from miacap.metrics.judgements import Judgement
from miacap.reading import parse_json, short
from miacap.tables import delimited
from miacap.tables.names import CANDIDATE_NAMES, CAPTION_NAMES, ID_NAMES, same_form, text_id
from miacap.tables.text import first_line, name_of, numbered_lines, read_text
from miacap.wording import counted

_PICTURE_NAMES = ("picture", "image", "image_id", *ID_NAMES)
_CAPTION_NAMES = (*CANDIDATE_NAMES, *CAPTION_NAMES)
_RATING = re.compile(r"(?:expert_|human_)?(?:rating|score|judg[e]?ment)s?[ _-]?\d*")


@dataclass(frozen=True)
class Judged:
    """What a file of judgements gave.

    Attributes:
        judgements: in the file's order.
        references: captions by picture.
        set_aside: rows that could not be used, with the reason.
        crowd: whether the file is in the crowd format.
    """

    judgements: tuple[Judgement, ...]
    references: Mapping[str, Sequence[str]]
    set_aside: tuple[str, ...]
    crowd: bool = False


def read_judgements(path: str | os.PathLike[str], references: str | os.PathLike[str]) -> Judged:
    """Read judgements and the references that they are scored against.

    Damaged rows of the Flickr8k formats, and rows of a table with too many or too few cells, are
    set aside and listed. Raises DataError.
    """
    captions: dict[str, list[str]] = {}
    by_id: dict[str, str] = {}
    for row in read_rows(references):
        picture = same_form(row.id)
        own = captions.setdefault(picture, [])
        for caption in row.captions:
            by_id[f"{picture}#{len(own)}"] = caption
            own.append(caption)
        if row.key:
            by_id[same_form(row.key)] = row.captions[0]
    text, name = read_text(path), name_of(path)
    first = first_line(text).split("\t")
    if len(first) == 5 and re.search(r"#\d+$", first[1]):
        return _flickr(list(numbered_lines(text, name)), name, captions, by_id)
    aside: list[str] = []
    judgements = [
        Judgement(picture, caption, ratings, caption in captions.get(picture, ()))
        for picture, caption, ratings in _table(text, name, aside)
    ]
    if aside and not judgements:
        raise DataError(f"{name}: no row can be used; the first: {aside[0]}.")
    return Judged(tuple(judgements), captions, tuple(aside))


def _flickr(
    lines: Sequence[tuple[int, str]],
    path: str,
    captions: dict[str, list[str]],
    by_id: Mapping[str, str],
) -> Judged:
    rows = [(number, line.split("\t")) for number, line in lines]
    crowd = _is_crowd(cells for _, cells in rows)
    judgements, aside = [], []
    for number, cells in rows:
        try:
            judgements.append(_flickr_row(cells, crowd, captions, by_id))
        except ValueError as error:
            aside.append(f"{path}, line {number}: {error}")
    if not judgements:
        raise DataError(f"{path}: no row can be used; the first: {aside[0]}.")
    return Judged(tuple(judgements), captions, tuple(aside), crowd)


def _is_crowd(rows: Iterator[Sequence[str]]) -> bool:
    """Whether the third column is a share of the two behind it (never so for three ratings)."""
    votes = [_share(cells) for cells in rows if len(cells) == 5]
    return sum(votes) * 2 > len(votes)


def _share(cells: Sequence[str]) -> bool:
    try:
        share, yes, no = (float(cell) for cell in cells[2:])
    except ValueError:
        return False
    # The files round the share to a few digits.
    return yes + no > 0 and abs(share - yes / (yes + no)) < 0.01


def _flickr_row(
    cells: Sequence[str],
    crowd: bool,
    captions: Mapping[str, list[str]],
    by_id: Mapping[str, str],
) -> Judgement:
    if len(cells) != 5:
        raise ValueError(f"{counted(len(cells), 'column')} instead of 5")
    picture, key = map(same_form, cells[:2])
    if picture not in captions:
        raise ValueError(f"no references for {picture!r}")
    if key not in by_id:
        raise ValueError(f"no caption {key!r} in the references")
    if crowd:
        if not _share(cells):
            raise ValueError(f"{cells[2]} is not the share of yes of {cells[3]} yes, {cells[4]} no")
        ratings: tuple[float, ...] = (float(cells[2]),)
    else:
        ratings = tuple(float(cell) for cell in cells[2:])
        if any(rating not in (1, 2, 3, 4) for rating in ratings):
            raise ValueError(f"ratings {', '.join(cells[2:])} are not all 1 to 4")
    return Judgement(picture, by_id[key], ratings, key.rpartition("#")[0] == picture)


def _table(text: str, path: str, aside: list[str]) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    for where, row in _objects(text, path, aside):
        picture = _first(row, _PICTURE_NAMES, where, "picture")
        caption = _first(row, _CAPTION_NAMES, where, "caption")
        if not isinstance(caption, str):
            raise DataError(f"{where}: a judged caption is text, not {short(caption)}.")
        values = [value for name, value in row.items() if _RATING.fullmatch(name.lower())]
        ratings = tuple(number for value in values for number in _numbers(value, where))
        if not ratings:
            raise DataError(f"{where}: no ratings; name them ratings, or rating_1, rating_2 ...")
        yield same_form(text_id(picture, where)), caption, ratings


def _objects(text: str, path: str, aside: list[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    start = text.lstrip()[:1]
    if not start:
        raise DataError(f"{path}: the file is empty.")
    rows = _json(text, path) if start in "{[" else _rows(text, path, aside)
    for where, value in rows:
        if not isinstance(value, dict):
            raise DataError(f"{where}: expected an object, got {short(value)}.")
        yield where, value


def _rows(text: str, path: str, aside: list[str]) -> Iterator[tuple[str, object]]:
    separator = delimited.separator_of(first_line(text))
    rows = delimited.rows(text, separator, path)
    _, header = next(rows, (0, [""]))
    for number, cells in rows:
        where = f"{path}, line {number}"
        if len(cells) != len(header):
            have, wanted = counted(len(cells), "cell"), counted(len(header), "column")
            aside.append(f"{where}: {have} for {wanted}; quote captions")
            continue
        yield where, dict(zip(header, cells, strict=True))


def _json(text: str, path: str) -> Iterator[tuple[str, object]]:
    first = first_line(text)
    if first.startswith("{") and first.endswith("}") and len(first) < len(text.strip()):
        for number, line in numbered_lines(text, path):
            yield f"{path}, line {number}", parse_json(line, path, number)
        return
    value = parse_json(text, path)
    if isinstance(value, dict):
        value = value.get("pairs", value.get("judgements", [value]))
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of judgements.")
    for number, item in enumerate(value, 1):
        yield f"{path}, entry {number}", item


def _first(row: Mapping[str, object], names: Sequence[str], where: str, what: str) -> object:
    for name in names:
        if name in row:
            return row[name]
    raise DataError(f"{where}: no {what}; name it one of {', '.join(dict.fromkeys(names))}.")


def _numbers(value: object, where: str) -> Iterator[float]:
    if isinstance(value, list):
        for item in value:
            yield from _numbers(item, where)
        return
    parts = re.split(r"[\s,;|]+", value.strip(" []()")) if isinstance(value, str) else [value]
    for part in parts:
        if part == "":
            continue  # a person who did not rate
        try:
            number = float(part)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or isinstance(part, bool):
            raise DataError(f"{where}: a rating is a number, not {short(part)}.")
        yield number
