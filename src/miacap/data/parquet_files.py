"""Parquet files from strangers, read within limits: the only reader that needs pyarrow.

A few bytes of Parquet can stand for millions of rows, or for one cell of a gigabyte. What the
footer says of rows and of bytes, packed and unpacked, is looked at before anything is read.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from miacap.errors import DataError, MissingExtra
from miacap.reading import LARGEST, open_file

_ROWS, _FEWEST_ROWS = 256, 8
"""Rows that are read at a time; fewer where their texts are long."""
_BUFFER = 1 << 20
_RATIO = 200
"""Columns that unpack to more than so many times their size, and more than `_FREE`, are made to."""
_FREE = 1 << 24
_FREE_VALUES = 100_000
"""Values of a column beyond which each takes at least a byte of the file."""


def require_pyarrow() -> tuple[Any, Any]:
    """Give pyarrow and pyarrow.parquet. Raises MissingExtra."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("parquet", "Reading Parquet files") from None
    return pyarrow, pyarrow.parquet


def open_parquet(path: Path) -> Any:
    """Open a Parquet file; columns are read piece by piece, so that memory stays bounded.

    Raises:
        DataError: absent, no file, no whole Parquet file, or one of more rows than bytes.
        MissingExtra: pyarrow is not installed.
    """
    _, parquet = require_pyarrow()
    with open_file(path) as opened:  # a named pipe, which would be waited for, is refused
        size = os.fstat(opened.fileno()).st_size
    with parquet_errors(path):
        file = parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        _require_plausible(path, "rows", sum(group.num_rows for group in groups), size)
    return file


def _require_plausible(path: Path, what: str, count: int, size: int) -> None:
    if count > max(_FREE_VALUES, size):
        raise DataError(
            f"{path}: says that it has {count:,} {what} in {size:,} bytes; no table of captions "
            "does."
        )


def unpacked(path: Path, file: Any, group: int, column: str) -> int:
    """Give how many bytes a column of a row group unpacks to, as the footer says.

    Args:
        path: of the file.
        file: what `open_parquet` gave.
        group: number of the row group.
        column: its name, or a path such as "image.bytes"; a list has its inner columns together.

    Raises:
        DataError: it unpacks to more than 200 times its size, or has more values than bytes.
    """
    size, total = path.stat().st_size, 0
    chunks = file.metadata.row_group(group)
    for index in range(chunks.num_columns):
        chunk = chunks.column(index)
        if chunk.path_in_schema != column and not chunk.path_in_schema.startswith(f"{column}."):
            continue
        _require_plausible(path, f"values of {column}", chunk.num_values, size)
        whole = chunk.total_uncompressed_size
        if whole > _FREE and whole > _RATIO * min(chunk.total_compressed_size, size):
            raise DataError(
                f"{path}: the column {column} unpacks to {whole:,} bytes, more than {_RATIO} times "
                "its size; no captions or photos do."
            )
        total += whole
    return total


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with a Parquet file."""
    arrow, _ = require_pyarrow()
    try:
        yield
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not a whole Parquet file ({first[:200]}); fetch it again."
        ) from None


class Row(NamedTuple):
    """One row: its row group, its place in that, and its cells as Python values."""

    group: int
    place: int
    cells: dict[str, Any]


def rows(path: Path, file: Any, columns: Sequence[str]) -> Iterator[Row]:
    """Give the rows of a table, a few at a time.

    Args:
        path: of the file, for messages.
        file: what `open_parquet` gave.
        columns: names, or paths such as "image.path".

    Raises:
        DataError: damaged, texts of more than `LARGEST` bytes together, or far more than the file
            has bytes for.
    """
    size = 0
    for group in range(file.num_row_groups):
        place = 0
        with parquet_errors(path):
            # A dictionary may give each row the largest text that there is.
            largest = max(1, sum(unpacked(path, file, group, column) for column in columns))
            batches = file.iter_batches(
                batch_size=min(_ROWS, max(_FEWEST_ROWS, LARGEST // largest)),
                row_groups=[group],
                columns=list(columns),
                use_threads=False,
            )
            for batch in batches:
                size += batch.nbytes
                if size > LARGEST:
                    raise DataError(
                        f"{path}: a table whose texts take more than {LARGEST:,} bytes; split it."
                    )
                for cells in batch.to_pylist():
                    yield Row(group, place, cells)
                    place += 1
