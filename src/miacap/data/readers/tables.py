"""A person's own captions: CSV and JSON Lines, metadata.jsonl and metadata.csv among them.

A row names a photo file and gives one caption or several, and maybe a split. Several rows may
speak of one photo; their captions come together in the order of the file.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miacap.data.dataset import source
from miacap.data.lines import numbered_lines, parse_json, read_text
from miacap.data.photos import checked_name
from miacap.data.readers.records import Reading
from miacap.errors import DataError, nearest

FILE_NAMES = ("file_name", "filename", "file", "image", "image_name", "photo", "picture", "path")
CAPTION_NAMES = ("captions", "caption", "text", "sentences", "sentence", "comment", "raw")
_SPLIT_NAMES = ("split",)
_NUMBERED = re.compile(r"(?:caption|comment|sentence|text)[ _-]?\d+")


def read_json_lines(files: list[Path]) -> Reading:
    """Read JSON Lines (or one JSON list) of objects with a file name and captions.

    Raises:
        DataError: a line that is no JSON object, or that names no file; with its number.
    """
    reading = Reading()
    for path in files:
        reading.sources.append(source(path))
        for where, row in _objects(path):
            name = _first(row, FILE_NAMES)
            if not isinstance(name, str):
                raise DataError(f'{where}: no file name; write "file_name" (found {_listed(row)}).')
            id = checked_name(name, where)
            reading.mention(id, where, split=_first(row, _SPLIT_NAMES))
            captions = _first(row, CAPTION_NAMES)
            for caption in captions if isinstance(captions, list) else [captions]:
                # COCO-like rows keep each caption in an object of its own.
                text = _first(caption, CAPTION_NAMES) if isinstance(caption, dict) else caption
                if text is not None:
                    reading.caption(id, where, text)
    return reading


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    text = read_text(path)
    if text.lstrip().startswith("["):
        entries = parse_json(text, str(path))
        rows = [
            (f"{path.name}, entry {number}", row) for number, row in enumerate(entries, start=1)
        ]
    else:
        rows = [
            (f"{path.name}, line {number}", parse_json(line, str(path), number))
            for number, line in numbered_lines(path)
        ]
    for where, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected a JSON object, found {type(row).__name__}.")
        yield where, row


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"


@dataclass(frozen=True)
class _Columns:
    """Which columns of a table hold what."""

    names: tuple[str, ...]
    file: int
    captions: tuple[int, ...]
    split: int | None


def read_csv(files: list[Path]) -> Reading:
    """Read CSV, with "," or ";" or tab or "|" between columns and column names on top.

    Rows with too few or too many cells are set aside; where the caption is the last column,
    the commas of an unquoted caption are taken for what they are.

    Raises:
        DataError: no column for the file or the caption; a quote that never ends.
    """
    reading = Reading()
    for path in files:
        reading.sources.append(source(path))
        text = read_text(path)
        head = text.lstrip("\r\n").split("\n", 1)[0]
        separator = max("\t|;,", key=head.count)
        columns: _Columns | None = None
        for number, cells in _rows(path, text, separator):
            if columns is None:
                columns = _columns(cells, f"{path.name}, line {number}")
            else:
                _add(reading, columns, cells, f"{path.name}, line {number}", separator)
        if columns is None:
            raise DataError(f"{path}: the file is empty.")
    return reading


def _rows(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    # Flickr30k's results.csv has "|" between columns and bare quotes inside its captions.
    quoted = separator != "|"
    table = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    start, cells = 1, []
    try:
        for cells in table:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = table.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {start}: not CSV ({error}); see whether each cell with quotes in it is "
            'in quotes, with its own ones doubled ("").'
        ) from None


def _columns(cells: list[str], where: str) -> _Columns:
    names = tuple(cell.strip().lower() for cell in cells)
    file = next((names.index(name) for name in FILE_NAMES if name in names), None)
    captions = [names.index(name) for name in CAPTION_NAMES if name in names][:1]
    captions = captions or [i for i, name in enumerate(names) if _NUMBERED.fullmatch(name)]
    split = next((names.index(name) for name in _SPLIT_NAMES if name in names), None)
    for what, found, known in (
        ("photo's file", file is not None, FILE_NAMES),
        ("caption", bool(captions), CAPTION_NAMES),
    ):
        if not found:
            hint = next(filter(None, (nearest(name, known) for name in names)), "")
            raise DataError(
                f"{where}: no column names the {what}; call it {known[0]} (found "
                f"{_listed(names)}).{hint}"
            )
    assert file is not None
    return _Columns(names, file, tuple(captions), split)


def _add(reading: Reading, columns: _Columns, cells: list[str], where: str, sep: str) -> None:
    width = len(columns.names)
    if len(cells) > width and columns.captions == (width - 1,):
        cells = [*cells[: width - 1], sep.join(cells[width - 1 :])]
    if len(cells) != width:
        name = cells[columns.file].strip() if columns.file < len(cells) else ""
        reading.leave_out(name, where, f"{len(cells)} cells for {width} columns; quote captions")
        return
    id = checked_name(cells[columns.file], where)
    split = cells[columns.split] if columns.split is not None else None
    reading.mention(id, where, split=split)
    for column in columns.captions:
        for caption in _captions(cells[column], columns.names[column]):
            if caption.strip() or len(columns.captions) == 1:
                reading.caption(id, where, caption)


def _captions(cell: str, column: str) -> list[str]:
    """A cell holds a caption, or in some tables a JSON list of them."""
    if column in ("captions", "sentences", "raw") and cell.lstrip().startswith("["):
        try:
            values = json.loads(cell)
        except (ValueError, RecursionError):
            return [cell]
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            return values
    return [cell]
