"""The rows of a file of captions, whatever its form."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from miacap.errors import DataError
from miacap.reading import NotJson, parse_json, short
from miacap.tables import captions, delimited, token_lines
from miacap.tables.names import ID_NAMES, caption_columns, same_form, text_id
from miacap.tables.text import first_line, name_of, numbered_lines, read_text
from miacap.wording import counted

# Under which key a JSON object keeps its rows.
_LISTS = ("annotations", "results", "predictions", "captions", "data")
_NAN = (
    'caption says "nan": an empty cell that pandas wrote out; it counts as an empty caption',
    'captions say "nan": empty cells that pandas wrote out; they count as empty captions',
)


class Row(NamedTuple):
    """Captions of one picture, as one place of a file gives them.

    Attributes:
        id: the picture.
        captions: none (an error was reported), one or more.
        where: file and place, for messages.
        key: the caption's own id where the file has one (`1.jpg#0`).
    """

    id: str
    captions: tuple[str, ...]
    where: str
    key: str = ""


class CaptionRows:
    """Rows of a file, read one after another; what they leave out is known at the end.

    Args:
        path: of the file, or "-" for standard input.
        caption_names: what a caption may be called, the likeliest first.

    Attributes:
        set_aside: file, line and reason of each row that could not be used.

    Raises:
        DataError: a file that cannot be read, of no known form, or without captions.
    """

    def __init__(self, path: str | os.PathLike[str], caption_names: Sequence[str]) -> None:
        self.name = name_of(path)
        self.set_aside: list[str] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._has_ids = True
        self._caption_names = caption_names
        text = read_text(path)
        start = text.lstrip()[:1]
        if not start:
            raise DataError(f"{self.name}: the file is empty.")
        if "\0" in text[:1000]:
            raise DataError(f"{self.name}: not text; name a file of captions.")
        if start in "{[" and not self._is_json_lines(text):
            self._rows = self._of_json(parse_json(text, self.name))
        elif start == "{":
            self._rows = self._of_json_lines(text)
        else:
            self._rows = self._of_text(text)

    def __iter__(self) -> Iterator[Row]:
        first = next(self._rows, None)
        if first is None:
            raise DataError(f"{self.name}: no captions in this file{self._first_aside()}.")
        yield first
        yield from self._rows

    def notes(self) -> list[str]:
        """Say what was left out or taken for something else, once all rows were read."""
        notes = [f"{self.name}: {counted(count, *what)}." for what, count in self._counts.items()]
        if not self._has_ids:
            notes.insert(0, f"{self.name} has no ids; its lines were numbered 1, 2, ...")
        if self.set_aside:
            rows = counted(len(self.set_aside), "row was", "rows were")
            notes.append(f"{self.name}: {rows} set aside{self._first_aside()}.")
        return notes

    def _first_aside(self) -> str:
        return f"; the first: {self.set_aside[0]}" if self.set_aside else ""

    def _is_json_lines(self, text: str) -> bool:
        """Whether the first line is a whole object and something follows it."""
        first = first_line(text)
        if not first.startswith("{") or len(first) == len(text.strip()):
            return False
        try:
            parse_json(first, self.name)
        except NotJson:  # a part of an object on several lines
            return False
        except DataError:  # a row with a fault is a row
            return first.rstrip().endswith("}")
        return True

    # ---- JSON ----

    def _of_json(self, value: object) -> Iterator[Row]:
        if isinstance(value, list):
            return self._objects(value, "entry")
        if not isinstance(value, dict):
            raise DataError(f"{self.name}: expected a list or an object, found {short(value)}.")
        images = value.get("images")
        if isinstance(images, list) and images and isinstance(images[0], dict):
            if "sentences" in images[0]:
                return self._objects(images, "image")
            if not isinstance(value.get("annotations"), list):
                raise DataError(
                    f"{self.name}: COCO images without annotations; give the file of captions."
                )
        for key in _LISTS:
            rows = value.get(key)
            if isinstance(rows, list) and (key == "annotations" or self._are_rows(rows)):
                return self._objects(rows, key.removesuffix("s"))
        if self._is_row(value):
            return self._objects([value], "entry")
        return self._dictionary(value)

    def _are_rows(self, values: list[object]) -> bool:
        return not values or (isinstance(values[0], dict) and self._is_row(values[0]))

    def _is_row(self, value: Mapping[str, object]) -> bool:
        return any(name in value for name in ID_NAMES) and (
            any(name in value for name in self._caption_names) or "error" in value
        )

    def _of_json_lines(self, text: str) -> Iterator[Row]:
        for number, line in numbered_lines(text, self.name):
            yield from self._object(
                parse_json(line, self.name, number), f"{self.name}, line {number}"
            )

    def _objects(self, values: Iterable[object], what: str) -> Iterator[Row]:
        shape: tuple[str, ...] = ()
        key = name = ""
        closer = captions.CLOSER_LOOK
        for number, value in enumerate(values, 1):
            where = f"{self.name}, {what} {number}"
            # Rows have the same keys, mostly: which one is the id, and which the caption?
            if type(value) is dict and (keys := tuple(value)) != shape:
                shape, (key, name) = keys, self._named(keys)
            if type(value) is dict and key and name:
                identity, caption = value[key], value[name]
                if type(caption) is str and caption[:1] not in closer:
                    if type(identity) is int:
                        identity = str(identity)
                    elif type(identity) is not str or not identity:
                        identity = text_id(identity, where)
                    yield Row(identity, (caption,), where)
                    continue
            yield from self._object(value, where)

    def _named(self, keys: tuple[str, ...]) -> tuple[str, str]:
        """Give the keys of id and caption; nothing where a row needs a closer look."""
        if captions.VIZWIZ.intersection(keys):
            return "", ""
        key = next((name for name in ID_NAMES if name in keys), "")
        return key, next((name for name in self._caption_names if name in keys), "")

    def _object(self, value: object, where: str) -> Iterator[Row]:
        if not isinstance(value, dict):
            raise DataError(
                f"{where}: expected an object with an id and a caption, got {short(value)}."
            )
        key = next((name for name in ID_NAMES if name in value), None)
        if key is None:
            raise DataError(f"{where}: no id; name it one of {', '.join(ID_NAMES)}.")
        identity = text_id(value[key], where)
        if reason := captions.left_out_by_vizwiz(value):
            self._counts[f"caption left out: {reason}", f"captions left out: {reason}"] += 1
            return
        name = next((name for name in self._caption_names if name in value), None)
        if name is not None:
            yield Row(identity, self._captions(value[name], where), where)
        elif "error" in value:
            yield Row(identity, (), where)
        else:
            known = ", ".join(self._caption_names)
            raise DataError(f"{where}: no caption; name it one of {known}.")

    def _dictionary(self, value: Mapping[str, object]) -> Iterator[Row]:
        for key, item in value.items():
            where = f"{self.name}, id {short(key)}"
            yield Row(text_id(key, where), self._captions(item, where), where)

    def _captions(self, value: object, where: str) -> tuple[str, ...]:
        if captions.is_cut(value):
            raise DataError(f"{where}: {captions.CUT}.")
        if captions.is_nan(value):
            self._counts[_NAN] += 1
        texts: list[str] = []
        for item in captions.items(value, self._caption_names):
            if isinstance(item, list):
                texts += self._captions(item, where)
            elif isinstance(item, str):
                texts.append(item)
            else:
                raise DataError(
                    f"{where}: a caption is text or a list of texts, not {short(item)}."
                )
        return tuple(texts)

    # ---- rows and lines ----

    def _of_text(self, text: str) -> Iterator[Row]:
        first = first_line(text)
        if token_lines.parse(first):
            return self._tokens(text)
        separator = delimited.separator_of(first)
        rows = delimited.rows(text, separator, self.name)
        number, cells = next(rows, (0, []))
        if not cells:
            raise DataError(f"{self.name}: no captions in this file, only {short(first)}.")
        if delimited.without_header(cells, separator):
            return self._cells(
                chain([(number, cells)], rows), separator, delimited.NAME_AND_CAPTION
            )
        if not self._is_header(cells, first):
            return self._lines(text)
        where = f"{self.name}, line {number}"
        columns = delimited.columns(cells, ID_NAMES, self._caption_names, where, "picture")
        return self._cells(rows, separator, columns)

    def _is_header(self, cells: Sequence[str], line: str) -> bool:
        """Whether a first line is meant as names of columns, rather than as a caption."""
        names = [cell.strip().lower() for cell in cells]
        known = any(name in ID_NAMES for name in names)
        if known or caption_columns(names, self._caption_names):
            return True
        return len(cells) > 1 and ("\t" in line or "|" in line or len(line.split()) == 1)

    def _cells(
        self,
        rows: Iterable[tuple[int, list[str]]],
        separator: str,
        columns: delimited.Columns,
    ) -> Iterator[Row]:
        for number, cells in rows:
            where = f"{self.name}, line {number}"
            fitted = columns.fitted(cells, separator)
            if fitted is None:
                width = len(columns.names)
                self.set_aside.append(f"{where}: {delimited.few_cells(len(cells), width)}")
                continue
            if separator == "|":
                fitted = [cell.strip() for cell in fitted]
            # Of several caption columns the empty ones are captions that a picture lacks.
            several = len(columns.captions) > 1
            chosen = [fitted[c] for c in columns.captions if fitted[c] or not several]
            texts = [text for cell in chosen for text in self._captions(cell, where)]
            yield Row(text_id(fitted[columns.id].strip(), where), tuple(texts), where)

    def _tokens(self, text: str) -> Iterator[Row]:
        taken: set[tuple[str, str]] = set()
        for number, line in numbered_lines(text, self.name):
            where = f"{self.name}, line {number}"
            token = token_lines.parse(line)
            if token is None:
                self.set_aside.append(f"{where}: no NAME#NUMBER, tab, caption")
                continue
            key = (same_form(token.name), token.number)
            if key in taken:
                self.set_aside.append(
                    f"{where}: caption {token.number} comes twice; the first one is kept"
                )
                continue
            taken.add(key)
            yield Row(token.name, (token.caption,), where, f"{token.name}#{token.number}")

    def _lines(self, text: str) -> Iterator[Row]:
        last = 0
        for number, line in numbered_lines(text, self.name):
            self._has_ids = False
            for blank in range(last + 1, number):  # a blank line is an empty caption
                yield Row(str(blank), ("",), f"{self.name}, line {blank}")
            yield Row(str(number), (line,), f"{self.name}, line {number}")
            last = number
