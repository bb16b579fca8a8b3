"""The Parquet table that img2dataset writes beside each shard: which photos it could not fetch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from miacap.data import parquet_files

_COLUMNS = ("key", "status", "error_message")


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
    columns = [name for name in _COLUMNS if name in names]
    number = 0
    for group in range(file.num_row_groups):
        for row in parquet_files.rows(table, file, group, columns):
            number += 1
            if row["status"] != "success":
                said = row.get("error_message") or row["status"]
                reason = f"img2dataset did not fetch it: {said}"
                yield Failed(str(row["key"]), f"{table.name}, row {number}", reason)
