"""A person's own concepts: a file with an ordered list of words for each picture.

Three forms, as text in any encoding that `tables` reads, plain or gzip:

    {"dog.jpg": ["dog", "grass"], ...}                            one JSON object
    [{"image_id": 42, "image_concepts": ["dog", "grass"]}, ...]   one JSON list, as the released
                                                                  code's image_concepts.json
    {"id": "dog.jpg", "concepts": ["dog", "grass"]}               JSON Lines, a picture a line

The most probable word comes first. The last two forms may have `"probabilities"`, a number a
word, for every picture or for none; words are then ranked by them.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from miacap.data import SetAside
from miacap.errors import DataError
from miacap.reading import parse_json
from miacap.tables.json_places import Cursor
from miacap.tables.text import first_line, numbered_lines, read_text_file
from miacap.wording import counted

ID_NAMES = ("id", "image_id", "file_name")
LIST_NAMES = ("concepts", "image_concepts")
PROBABILITIES = "probabilities"

_LEAST = 1e-30
"""A listed word scores above 0 in single precision, so that it differs from one not listed."""


@dataclass(frozen=True)
class PictureList:
    """What a file says about one picture.

    Attributes:
        words: in lower case, each once, most probable first.
        probabilities: one a word, in (0, 1], falling; None where only the order is known.
        where: file and line.
    """

    words: tuple[str, ...]
    probabilities: tuple[float, ...] | None
    where: str


@dataclass
class ListFile:
    """A file of lists, read.

    Attributes:
        path: of the file.
        sha256: of the bytes that were read.
        pictures: lists by id, in the order of the file.
        unread: lists that make no sense, with the reason.
        twice: lists of a picture that had one before; the first one counts.
        repeated: words that stood a second time in their list.
    """

    path: Path
    sha256: str
    pictures: dict[str, PictureList] = field(default_factory=dict)
    unread: list[SetAside] = field(default_factory=list)
    twice: list[SetAside] = field(default_factory=list)
    repeated: int = 0

    @property
    def with_probabilities(self) -> bool:
        """Whether the lists come with probabilities."""
        return any(one.probabilities is not None for one in self.pictures.values())


def read_lists(path: str | os.PathLike[str]) -> ListFile:
    """Read a file of word lists; a list that makes no sense is set aside.

    Raises:
        DataError: no such file, not JSON, a row without id, no list at all, or probabilities
            for some pictures alone; with file and line.
    """
    source = Path(path)
    if str(source) == "-":
        raise DataError("Lists of words are read from a file, not from standard input; name one.")
    file = read_text_file(source)
    result = ListFile(source, file.sha256)
    for where, id, words, probabilities in _rows(source, file.text):
        if id in result.pictures:
            first = result.pictures[id].where
            result.twice.append(SetAside(id, where, f"{id!r} was already listed at {first}"))
            continue
        one = _list(words, probabilities, where)
        if isinstance(one, str):
            result.unread.append(SetAside(id, where, f"{id!r}: {one}"))
            continue
        result.repeated += len(words) - len(one.words)
        result.pictures[id] = one
    if not result.pictures:
        first = "".join(f"; the first row, {one.where}: {one.reason}" for one in result.unread[:1])
        raise DataError(f"{source}: no list of words in this file{first}.")
    _same_kind(result.pictures)
    return result


def _rows(path: Path, text: str) -> Iterator[tuple[str, str, Any, Any]]:
    """Give where, id, words and probabilities of each row, in whichever form."""
    first = text.lstrip()[:1]
    if first == "[":
        for where, value in Cursor(text, str(path)).entries():
            yield where, *_row(value, where)
    elif first == "{" and not _is_row(text):
        for where, id, value in Cursor(text, str(path)).members():
            yield where, id, value, None
    else:
        for number, line in numbered_lines(text, str(path)):
            where = f"{path}, line {number}"
            yield where, *_row(parse_json(line, str(path), number), where)


def _is_row(text: str) -> bool:
    """Say whether the first line is a row of JSON Lines, rather than the whole or a part of one."""
    try:
        value = parse_json(first_line(text), "")
    except DataError:
        return False
    if not isinstance(value, dict):
        return False
    ids = [name for name in ID_NAMES if isinstance(value.get(name), str | int)]
    return bool(ids) or any(name in value for name in LIST_NAMES)


def _row(value: Any, where: str) -> tuple[str, Any, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(value).__name__}.")
    name = next((name for name in ID_NAMES if name in value), None)
    if name is None:
        named = ", ".join(repr(name) for name in value) or "nothing"
        raise DataError(f'{where}: no picture is named; write its "id" (found {named}).')
    id = value[name]
    if not isinstance(id, str | int) or isinstance(id, bool):
        raise DataError(f"{where}: {name} is {_short(id)}, neither text nor a whole number.")
    words = next((value[name] for name in LIST_NAMES if name in value), None)
    return str(id), words, value.get(PROBABILITIES)


def _list(words: Any, probabilities: Any, where: str) -> PictureList | str:
    """Check one picture's list; give the reason where it makes no sense."""
    if words is None:
        return 'no "concepts"'
    if not isinstance(words, list):
        return f"concepts are a list of words, not {type(words).__name__}"
    if not words:
        return "its list is empty"
    for position, word in enumerate(words, 1):
        if not isinstance(word, str):
            return f"concept {position} is {_short(word)}, no word"
    clean = [word.strip().lower() for word in words]
    if probabilities is None:
        return PictureList(tuple(dict.fromkeys(clean)), None, where)
    if not isinstance(probabilities, list) or len(probabilities) != len(words):
        return f"{counted(len(words), 'word needs', 'words need')} as many probabilities"
    for position, number in enumerate(probabilities, 1):
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not _LEAST <= number <= 1:
            return f"probability {position} is {_short(number)}, not above 0 and at most 1"
    # Sorting stably keeps equally probable words in the order of the list.
    order = sorted(range(len(clean)), key=lambda index: -probabilities[index])
    ranked: dict[str, float] = {}
    for index in order:
        ranked.setdefault(clean[index], float(probabilities[index]))
    return PictureList(tuple(ranked), tuple(ranked.values()), where)


def _short(value: Any) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _same_kind(pictures: Mapping[str, PictureList]) -> None:
    first = next(iter(pictures.values()))
    for id, one in pictures.items():
        if (one.probabilities is None) != (first.probabilities is None):
            has, lacks = (first, one) if one.probabilities is None else (one, first)
            raise DataError(
                f"{lacks.where}: no probabilities, but {has.where} has some; give them for every "
                f"picture or for none (first difference at {id!r})."
            )
