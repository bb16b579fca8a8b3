"""Photos in the cells of Parquet tables, read where they lie: nothing is unpacked."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from miacap.data.parquet_files import open_parquet, parquet_errors, unpacked
from miacap.errors import DataError
from miacap.reading import LARGEST
from miacap.tables.names import same_form

_ROWS = 8
"""Photos that are read at a time."""
_KEPT = 64 << 20
"""Bytes of photos that are kept for whoever asks next."""
_OPEN = 4
"""Tables that are open at a time."""


class Cell(NamedTuple):
    """Where a photo lies: a table, its row group, and the row in that."""

    path: Path
    group: int
    row: int


class ParquetPhotos:
    """Photos in the cells of Parquet tables.

    Parquet has no way to one cell but through those before it in its row group. Photos are read
    forward, a few at a time, and the last ones are kept: in the order of the table each is read
    once, from several threads too; any other order works and takes longer.

    Args:
        cells: where each photo lies, by id.
        images: the column of photos of each table, as "image" or "image.bytes".
    """

    def __init__(self, cells: Mapping[str, Cell], images: Mapping[Path, str]) -> None:
        self._cells = dict(cells)
        self._images = dict(images)
        self._start()

    def _start(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[Path, _Table] = OrderedDict()
        self._kept: OrderedDict[Cell, list[bytes | None]] = OrderedDict()
        self._size = 0

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; it opens the tables itself."""
        return {"_cells": self._cells, "_images": self._images}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._cell(id) is not None

    def read(self, id: str) -> bytes:
        """Give the bytes of a photo file. Raises DataError if it is absent or damaged."""
        cell = self._cell(id)
        if cell is None:
            tables = ", ".join(path.name for path in list(self._images)[:5])
            raise DataError(f"{id}: no such photo in {tables}.")
        with self._lock:
            photo = self._piece(cell)[cell.row % _ROWS]
        if photo is None:
            raise DataError(f"{id}: {cell.path.name} has no photo in its row.")
        return photo

    def size(self, id: str) -> int:
        """Give about how many bytes a photo has: the mean of its row group, 0 if not known."""
        cell = self._cell(id)
        try:
            if cell is not None:
                with self._lock, parquet_errors(cell.path):
                    return self._table(cell.path).mean(cell.group)
        except DataError:
            pass  # `read` says why
        return 0

    def _cell(self, id: str) -> Cell | None:
        return self._cells.get(id) or self._cells.get(same_form(id))

    def _piece(self, cell: Cell) -> list[bytes | None]:
        """Give the few photos among which a cell is."""
        key = Cell(cell.path, cell.group, cell.row // _ROWS)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        with parquet_errors(cell.path):
            piece = self._table(cell.path).piece(key.group, key.row)
        if len(piece) <= cell.row % _ROWS:
            raise DataError(f"{cell.path}: has fewer rows than it had; read the data anew.")
        self._kept[key] = piece
        self._size += _bytes(piece)
        while self._size > _KEPT and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= _bytes(oldest)
        return piece

    def _table(self, path: Path) -> "_Table":
        if path not in self._open:
            self._open[path] = _Table(path, self._images[path])
        self._open.move_to_end(path)
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)
        return self._open[path]


class _Table:
    """A table that is read forward; going back begins the row group again."""

    def __init__(self, path: Path, column: str) -> None:
        self._path, self._column = path, column
        self._file = open_parquet(path)
        self._group = -1
        self._next = 0
        self._pieces: Iterator[Any] = iter(())
        self._means: dict[int, int] = {}

    def mean(self, group: int) -> int:
        """Give the bytes of a photo of a row group, on average."""
        if group not in self._means:
            count = self._file.metadata.row_group(group).num_rows
            self._means[group] = self._unpacked(group) // max(1, count)
        return self._means[group]

    def _unpacked(self, group: int) -> int:
        return unpacked(self._path, self._file, group, self._column)

    def piece(self, group: int, number: int) -> list[bytes | None]:
        """Give the photos of a piece of a row group; none where the table has no such piece."""
        if group >= self._file.num_row_groups:
            return []
        if group != self._group or number < self._next:
            self._unpacked(group)  # refuses what the footer says to be far too much
            self._group, self._next = group, 0
            self._pieces = self._file.iter_batches(
                batch_size=_ROWS, row_groups=[group], columns=[self._column], use_threads=False
            )
        batch = None
        while self._next <= number:
            batch = next(self._pieces, None)
            self._next += 1
        if batch is None:
            return []
        if batch.nbytes > LARGEST:
            raise DataError(f"{self._path}: photos of more than {LARGEST:,} bytes.")
        column = batch.column(0)
        return list((column.field(0) if hasattr(column, "field") else column).to_pylist())


def _bytes(piece: list[bytes | None]) -> int:
    return sum(len(photo or b"") for photo in piece)
