"""A table that says who is in which split: CSV or TSV with the columns `id` and `split`."""

import os

from miacap.data.splits import split_name
from miacap.errors import DataError
from miacap.tables import delimited
from miacap.tables.names import ID_NAMES, SPLIT_NAMES
from miacap.tables.text import TextFile, first_line, read_text_file

_FORM = "write a first line id,split and then a line for each picture: dog.jpg,dev"


def read_split_table(path: str | os.PathLike[str]) -> tuple[dict[str, str], TextFile]:
    """Read who is in which split.

    Args:
        path: of the table; the column of ids may be called as in a table of captions.

    Returns:
        split by id, and the file as it was read.

    Raises:
        DataError: no such columns, an empty cell, an id in two splits; has file and line.
    """
    file = read_text_file(path)
    separator = delimited.separator_of(first_line(file.text.strip()))
    rows = delimited.rows(file.text, separator, str(path))
    names = [cell.strip().lower() for cell in next(rows, (0, []))[1]]
    id = next((names.index(name) for name in ID_NAMES if name in names), None)
    split = next((names.index(name) for name in SPLIT_NAMES if name in names), None)
    if id is None or split is None:
        raise DataError(
            f"{path}: no columns 'id' and 'split' (found {delimited.listed(names)}); {_FORM}."
        )
    assigned: dict[str, str] = {}
    for line, cells in rows:
        if len(cells) != len(names) or not cells[id].strip() or not cells[split].strip():
            raise DataError(f"{path}, line {line}: no id with its split; {_FORM}.")
        name, chosen = cells[id].strip(), split_name(cells[split])
        if assigned.setdefault(name, chosen) != chosen:
            raise DataError(
                f"{path}, line {line}: {name} is in two splits, {assigned[name]} and {chosen}; a "
                "picture belongs to one."
            )
    if not assigned:
        raise DataError(f"{path}: no picture has a split here; {_FORM}.")
    return assigned, file
