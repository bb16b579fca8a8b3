"""A person's own captions: CSV and JSON Lines, metadata.jsonl and metadata.csv among them.

A row names a photo file and gives one caption or several, and maybe a split. Several rows may
speak of one photo; their captions come together in the order of the file.
"""

from collections.abc import Iterator
from typing import Any

from miacap.data.readers.records import CaptionText, Reading
from miacap.errors import DataError
from miacap.reading import parse_json
from miacap.tables import delimited
from miacap.tables.names import ADDRESS_NAMES, CAPTION_NAMES, FILE_NAMES, SPLIT_NAMES, first_value
from miacap.tables.text import first_line, numbered_lines

_NAMES = (*FILE_NAMES, *ADDRESS_NAMES)


def read_json_lines(texts: list[CaptionText], reading: Reading) -> None:
    """Read JSON Lines (or one JSON list) of objects with a file name and captions.

    Raises:
        DataError: a line that is no JSON object, or that names no file; with its number.
    """
    for text in texts:
        reading.begin(text)
        for where, row in _objects(text):
            name = first_value(row, _NAMES)
            if not isinstance(name, str):
                raise DataError(
                    f'{where}: no file name; write "file_name" '
                    f"(found {delimited.listed(list(row))})."
                )
            id = reading.mention(name, where, split=first_value(row, SPLIT_NAMES))
            value = first_value(row, CAPTION_NAMES)
            if value is not None:
                reading.captions(id, where, value)


def _objects(text: CaptionText) -> Iterator[tuple[str, dict[str, Any]]]:
    name = text.path.name
    rows: Iterator[tuple[str, Any]]
    if text.content.lstrip().startswith("["):
        rows = ((f"{name}, entry {number}", row) for number, row in enumerate(text.value, start=1))
    else:
        rows = (
            (f"{name}, line {number}", parse_json(line, str(text.path), number))
            for number, line in numbered_lines(text.content, name)
        )
    for where, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected a JSON object, found {type(row).__name__}.")
        yield where, row


def read_csv(texts: list[CaptionText], reading: Reading) -> None:
    """Read CSV, with "," or ";" or tab or "|" between columns and column names on top.

    A table without column names is read where each row is a photo's name and its caption, or, as
    in Conceptual Captions, a caption and the address of its photo. Rows
    with too few or too many cells are set aside; where the caption is the last column, the
    commas of an unquoted caption are taken for what they are.

    Raises:
        DataError: no column for the file or the caption; a quote that never ends.
    """
    for text in texts:
        reading.begin(text)
        separator = delimited.separator_of(first_line(text.content))
        columns: delimited.Columns | None = None
        for number, cells in delimited.rows(text.content, separator, text.path.name):
            where = f"{text.path.name}, line {number}"
            if columns is not None:
                _add(reading, columns, cells, where, separator)
            elif delimited.caption_first(cells):
                columns = delimited.caption_and_name(len(cells))
                _add(reading, columns, cells, where, separator)
            elif delimited.without_header(cells, separator):
                columns = delimited.NAME_AND_CAPTION
                _add(reading, columns, cells, where, separator)
            else:
                columns = delimited.columns(cells, _NAMES, CAPTION_NAMES, where, "photo's file")
        if columns is None:
            raise DataError(f"{text.path}: the file is empty.")


def _add(
    reading: Reading, columns: delimited.Columns, cells: list[str], where: str, separator: str
) -> None:
    fitted = columns.fitted(cells, separator)
    if fitted is None:
        name = cells[columns.id].strip() if columns.id < len(cells) else ""
        width = len(columns.names)
        reading.leave_out(name, where, delimited.few_cells(len(cells), width))
        return
    split = fitted[columns.split] if columns.split is not None else None
    id = reading.mention(fitted[columns.id], where, split=split)
    for column in columns.captions:
        # Of several caption columns the empty ones are captions that a picture lacks.
        if fitted[column].strip() or len(columns.captions) == 1:
            reading.captions(id, where, fitted[column])
