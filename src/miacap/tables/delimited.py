"""Rows of cells: CSV, TSV and their like, as people have them.

Between cells stands "," or ";" or a tab or "|". Quotes group only where there are commas or
semicolons: text between tabs or bars holds stray ones (Flickr30k's `results.csv`).
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from miacap.errors import DataError, nearest
from miacap.reading import short
from miacap.tables.names import (
    FILE_NAMES,
    ID_NAMES,
    PHOTO_SUFFIXES,
    SPLIT_NAMES,
    caption_columns,
    is_address,
)
from miacap.tables.text import LONGEST_ROW, numbered_lines, too_long
from miacap.wording import counted, first_names

SEPARATORS = "\t|;,"
LONGEST_CELL = csv.field_size_limit()
"""Characters of a quoted cell; 131,072."""

_LISTED = 5


def separator_of(line: str) -> str:
    """Guess what stands between the cells of a table from its first line."""
    return max(SEPARATORS, key=line.count)


def rows(text: str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Give the rows that are not blank, each with the number of the line where it begins.

    Args:
        text: of the whole file.
        separator: one of `SEPARATORS`.
        name: of the file, for messages.

    Raises:
        DataError: a quote that never ends, a cell or a row beyond the limits.
    """
    if separator in "\t|":
        for number, line in numbered_lines(text, name):
            cells = line.split(separator)
            yield number, [_unquoted(cell) for cell in cells] if separator == "\t" else cells
    else:
        yield from _quoted_rows(text, separator, name)


def _unquoted(cell: str) -> str:
    """Undo the quotes that a program put around a cell; a person's own ones stay."""
    if len(cell) < 2 or not (cell[0] == cell[-1] == '"'):
        return cell
    inner = cell[1:-1].replace('""', "\0")
    return cell if '"' in inner else inner.replace("\0", '"')


def _quoted_rows(text: str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    lines = _Lines(text, name)
    table = csv.reader(lines, delimiter=separator, strict=True)
    start = 1
    try:
        for cells in table:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = table.line_num + 1
            lines.begin_row(start)
    except csv.Error as error:
        if "field larger" in str(error):
            raise DataError(
                f"{name}, line {start}: a cell of more than {LONGEST_CELL:,} characters; see "
                "whether a quote is missing."
            ) from None
        raise DataError(
            f"{name}, line {start}: not CSV ({error}); see whether each cell with quotes in it is "
            'in quotes, with its own ones doubled ("").'
        ) from None


class _Lines:
    """Lines for the csv module, which reads on while a quote is open, up to a row's limit."""

    def __init__(self, text: str, name: str) -> None:
        self._stream, self._name = io.StringIO(text, newline=""), name
        self.begin_row(1)

    def begin_row(self, line: int) -> None:
        """Say that a row begins at this line."""
        self._start, self._characters = line, 0

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(LONGEST_ROW + 1):
            self._characters += len(line)
            if self._characters > LONGEST_ROW:
                raise DataError(too_long(self._name, self._start))
            yield line


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what.

    Attributes:
        names: of all columns, in lower case.
        id: the one that names the picture.
        captions: those with captions.
        split: the one that names the split, or None.
    """

    names: tuple[str, ...]
    id: int
    captions: tuple[int, ...]
    split: int | None = None

    def fitted(self, cells: Sequence[str], separator: str) -> list[str] | None:
        """Give a row with one cell a column, or None where it has too few or too many.

        Where the caption is the last column, separators in an unquoted caption are part of it.
        """
        width = len(self.names)
        if len(cells) > width and self.captions == (width - 1,):
            cells = [*cells[: width - 1], separator.join(cells[width - 1 :])]
        return list(cells) if len(cells) == width else None


def columns(
    cells: Sequence[str],
    id_names: Sequence[str],
    caption_names: Sequence[str],
    where: str,
    what: str,
) -> Columns:
    """Read a table's header.

    Args:
        cells: its first row.
        id_names: what the column of ids may be called, the likeliest first.
        caption_names: the same for captions.
        where: file and line, for messages.
        what: the ids stand for, for messages.

    Raises:
        DataError: no column has such a name; with the nearest.
    """
    names = tuple(cell.strip().lower() for cell in cells)
    id = next((names.index(name) for name in id_names if name in names), None)
    captions = caption_columns(names, caption_names)
    split = next((names.index(name) for name in SPLIT_NAMES if name in names), None)
    for column, present, known in (
        (what, id is not None, id_names),
        ("caption", bool(captions), caption_names),
    ):
        if not present:
            hint = next(filter(None, (nearest(name[:40], known) for name in names[:100])), "")
            raise DataError(
                f"{where}: no column names the {column}; call it {known[0]} (found "
                f"{listed(names)}).{hint}"
            )
    assert id is not None
    return Columns(names, id, tuple(i for i in captions if i != id), split)


def listed(names: Sequence[str]) -> str:
    """List names for a message: the first few, each cut."""
    return first_names(map(short, names), _LISTED) or "nothing"


def without_header(cells: Sequence[str], separator: str) -> bool:
    """Whether a first row is no header but a picture's name and its caption."""
    if len(cells) < 2:
        return False
    name = cells[0].strip()
    if {cell.strip().lower() for cell in cells} & {*FILE_NAMES, *ID_NAMES}:
        return False
    return name.lower().endswith(PHOTO_SUFFIXES) or (
        separator == "\t" and len(name.split()) == 1 and len(cells[1].split()) > 1
    )


NAME_AND_CAPTION = Columns(("name", "caption"), 0, (1,))
"""Columns of a table without a header."""


def caption_first(cells: Sequence[str]) -> bool:
    """Whether a first row is a caption and the address or the name of its photo."""
    if len(cells) < 2 or len(cells[0].split()) < 2:
        return False
    name = cells[1].strip()
    return is_address(name) or (
        name.lower().endswith(PHOTO_SUFFIXES)
        and not cells[0].strip().lower().endswith(PHOTO_SUFFIXES)
    )


def caption_and_name(width: int) -> Columns:
    """Give the columns of Conceptual Captions: the caption, its photo, and maybe labels."""
    return Columns(("caption", "name", *("",) * (width - 2)), 1, (0,))


def few_cells(cells: int, width: int) -> str:
    """Say that a row does not have a cell for each column."""
    return f"{counted(cells, 'cell')} for {counted(width, 'column')}; quote captions"
