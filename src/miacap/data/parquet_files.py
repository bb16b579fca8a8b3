"""Parquet files from strangers, read within limits: the only reader that needs pyarrow."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from miacap.errors import DataError, MissingExtra
from miacap.reading import LARGEST, open_file

_ROWS = 256
_BUFFER = 1 << 20


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
        DataError: absent, no file, or no whole Parquet file.
        MissingExtra: pyarrow is not installed.
    """
    _, parquet = require_pyarrow()
    open_file(path).close()  # a named pipe, which would be waited for, is refused
    with told(path):
        return parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with a Parquet file."""
    arrow, _ = require_pyarrow()
    try:
        yield
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not a whole Parquet file ({first[:200]}); fetch it again."
        ) from None


def rows(path: Path, file: Any, group: int, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Give the rows of one row group as Python values, a few at a time.

    Args:
        path: of the file, for messages.
        file: what `open_parquet` gave.
        group: number of the row group.
        columns: names, or paths such as "image.path".

    Raises:
        DataError: damaged, or rows of more than `LARGEST` bytes together.
    """
    size = 0
    with told(path):
        for batch in file.iter_batches(
            batch_size=_ROWS, row_groups=[group], columns=list(columns), use_threads=False
        ):
            size += batch.nbytes
            if size > LARGEST:
                raise DataError(
                    f"{path}: a row group whose texts take more than {LARGEST:,} bytes; split it."
                )
            yield from batch.to_pylist()
