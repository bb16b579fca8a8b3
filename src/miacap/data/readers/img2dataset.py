"""The Parquet tables of img2dataset: which photos it could not fetch."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miacap.data import parquet_files
from miacap.data.readers.records import Reading
from miacap.errors import MissingExtra

COLUMNS = ("key", "status", "error_message")
"""By which its tables are known."""


@dataclass(frozen=True)
class Failed:
    """A photo that was not fetched.

    Attributes:
        key: its key, which the shard lacks.
        where: table and row.
        reason: what img2dataset says about it.
    """

    key: str
    where: str
    reason: str


def failed(table: Path) -> Iterator[Failed]:
    """Give the rows of a table whose photo was not fetched; none where it is another table.

    Raises:
        DataError: no whole Parquet file.
        MissingExtra: pyarrow is not installed.
    """
    file = parquet_files.open_parquet(table)
    names = file.schema_arrow.names
    if not {"key", "status"} <= set(names):
        return
    columns = [name for name in COLUMNS if name in names]
    for number, row in enumerate(parquet_files.rows(table, file, columns), start=1):
        if reason := why(row.cells):
            yield Failed(str(row.cells["key"]), f"{table.name}, row {number}", reason)


def why(row: Mapping[str, Any]) -> str:
    """Say why the photo of a row was not fetched; "" where it was."""
    if row["status"] == "success":
        return ""
    return f"img2dataset did not fetch it: {row.get('error_message') or row['status']}"


def list_failed(table: Path, fetched: Container[str], reading: Reading) -> None:
    """Set aside the photos of a table that were not fetched.

    Args:
        table: beside a shard; it need not be there.
        fetched: keys that the shard has all the same.
        reading: takes what was not fetched.
    """
    if not table.is_file():
        return
    try:
        for row in failed(table):
            if row.key not in fetched:
                reading.leave_out(row.key, row.where, row.reason)
    except MissingExtra as error:
        reading.leave_out("", table.name, f"what could not be fetched is not listed: {error}")
