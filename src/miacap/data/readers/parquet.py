"""Parquet tables: captions with the photos' bytes inside them, or with the names of their files.

An `image` column as Hugging Face datasets write it is a struct {bytes, path}; a column of bytes
is read as well. Captions: a column, several (`caption_0`, `caption_1`), a list, or a list of
objects with `raw`. The photos stay where they are, see `columns.ParquetPhotos`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from miacap.data.columns import Cell, ParquetPhotos
from miacap.data.dataset import Source
from miacap.data.parquet_files import open_parquet, parquet_errors, rows, unpacked
from miacap.data.readers import img2dataset
from miacap.data.readers.records import CaptionFile, Reading, shard_names
from miacap.errors import DataError
from miacap.files import sha256
from miacap.tables.delimited import listed
from miacap.tables.names import (
    ADDRESS_NAMES,
    CAPTION_NAMES,
    FILE_NAMES,
    ID_NAMES,
    SPLIT_NAMES,
    caption_columns,
    same_form,
)

_EMPTY, _PAGES = 2, 512
"""Bytes that a cell without a value takes at most, and those of the pages around."""
_IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "webp", "photo", "picture", "image_bytes")


class _Columns(NamedTuple):
    """What the columns of a table hold; names, or paths such as "image.bytes"."""

    captions: tuple[str, ...]
    image: str
    """The photos' bytes, or "" where they lie elsewhere."""
    name: str
    """What names the photo, or ""."""
    sure: bool
    """Whether that is a column of its own, so that rows of one name speak of one photo."""
    file: str
    """The name of the photo's file, where its bytes lie elsewhere."""
    split: str
    fetched: tuple[str, ...] = ()
    """Of img2dataset: what says whether the photo was fetched."""

    @property
    def wanted(self) -> list[str]:
        """What is read; the photos' bytes are not."""
        every = (*self.captions, self.name, self.file, self.split, *self.fetched)
        return list(dict.fromkeys(column for column in every if column))


class _Row(NamedTuple):
    """One row, as far as it is read."""

    where: str
    name: str
    captions: list[Any]
    split: Any
    file: str
    cell: Cell | None
    lost: str
    """Why the photo is not there, "" where it is."""


def read(files: list[CaptionFile], reading: Reading) -> None:
    """Read Parquet tables, several shards as one set.

    Rows that name their photo's file speak of one photo where the name is the same. Names that a
    struct {bytes, path} holds are taken where no two rows have the same; otherwise a photo is
    called by its table (in the folder of its split, where there is one) and row. Where two splits
    have the same name, each begins with its split.

    Raises:
        DataError: a damaged table; no column of captions, or none of photos.
        MissingExtra: pyarrow is not installed.
    """
    tables = [(file, _Table(file)) for file in files]
    found = [(file, table, list(table.rows())) for file, table in tables]
    sure = all(table.columns.sure for _, table, _ in found)
    apart = _Names(found, sure)
    cells: dict[str, Cell] = {}
    images: dict[Path, str] = {}
    for file, table, some in found:
        reading.begin_packed(table.source())
        images[file.path] = table.columns.image
        for number, row in enumerate(some):
            if row.lost:
                reading.leave_out(row.name, row.where, row.lost)
                continue
            name = apart.name(file, row, number)
            if not name:
                reading.leave_out("", row.where, "no name of its photo's file")
                continue
            split = file.split if row.split in (None, "") else row.split
            id = reading.mention(row.file or name, row.where, id=same_form(name), split=split)
            for value in row.captions:
                reading.captions(id, row.where, value)
            if row.cell is not None:
                cells.setdefault(id, row.cell)
    if cells:
        reading.packed.append(ParquetPhotos(cells, images))


class _Names:
    """What pictures are called: by what their rows say, as long as that tells them apart."""

    def __init__(self, found: "list[tuple[CaptionFile, _Table, list[_Row]]]", sure: bool) -> None:
        splits: dict[str, set[str | None]] = {}
        counts: Counter[tuple[str | None, str]] = Counter()
        for file, _, some in found:
            for row in some:
                split = file.split if row.split in (None, "") else str(row.split)
                splits.setdefault(row.name, set()).add(split)
                counts[split, row.name] += 1
        twice = any(count > 1 for count in counts.values()) or "" in splits
        self._by_row = twice and not sure
        self._shards = shard_names([file for file, _, _ in found])
        self._by_split = any(len(some) > 1 for some in splits.values())

    def name(self, file: CaptionFile, row: _Row, number: int) -> str:
        """Give a picture's name, "" where it has none."""
        if self._by_row:
            return f"{self._shards[file.path]}/{number}"
        if self._by_split and row.name:
            return f"{row.split or file.split or 'none'}/{row.name}"
        return row.name


class _Table:
    """One Parquet file, opened."""

    def __init__(self, file: CaptionFile) -> None:
        self.path, self._folder = file.path, file.folder
        self._file = open_parquet(file.path)
        self.columns = _columns(self._file, file.path)
        self._checksum = hashlib.sha256()

    def rows(self) -> Iterator[_Row]:
        """Give all rows, without the photos' bytes."""
        columns = self.columns
        groups = range(self._file.num_row_groups)
        holds = [_has_bytes(self.path, self._file, group, columns.image) for group in groups]
        every = rows(self.path, self._file, columns.wanted)
        for number, (group, place, row) in enumerate(every, start=1):
            captions = [_texts(row[name]) for name in columns.captions]
            captions = [one for one in captions if one is not None] or captions[:1]
            name, split = _text(row, columns.name), _text(row, columns.split)
            inside = holds[group]
            file = "" if inside else _text(row, columns.file)
            file = f"{self._folder}/{file}" if file and self._folder else file
            said = json.dumps([name, split, captions], default=repr)
            self._checksum.update(said.encode())
            cell = Cell(self.path, group, place) if inside else None
            name = name if inside else file
            lost = img2dataset.why(row) if columns.fetched else ""
            where = f"{self.path.name}, row {number}"
            yield _Row(where, name, captions, split, file, cell, lost)

    def source(self) -> Source:
        """Say what was read: the whole file, or of one that holds photos the other columns."""
        checksum = self._checksum.hexdigest() if self.columns.image else sha256(self.path)
        return Source(self.path.name, checksum, self.path.stat().st_size)


def _columns(file: Any, path: Path) -> _Columns:
    schema = file.schema_arrow
    texts = [field.name for field in schema if _is_text(field.type)]
    lower = {name.lower(): name for name in reversed(texts)}
    image, inside = _image(schema)
    said = [field.name for field in schema if _holds_text(field.type) and field.name != image]
    names = [name.lower() for name in said]
    captions = tuple(said[index] for index in caption_columns(names, CAPTION_NAMES))
    if not captions:
        raise DataError(
            f"{path}: no column names the caption; call it {CAPTION_NAMES[1]} (found "
            f"{listed(schema.names)})."
        )
    own = _first(lower, (*FILE_NAMES, *(() if image else ADDRESS_NAMES)), captions)
    inner = inside.get("path", "")
    if not image and not own:
        raise DataError(
            f"{path}: no column holds the photos or names their files; call it image or "
            f"{FILE_NAMES[0]} (found {listed(schema.names)})."
        )
    every = {field.name.lower(): field.name for field in schema}
    ids = _first(every, (*ID_NAMES, "key"), (*captions, image))
    fetched = tuple(name for name in img2dataset.COLUMNS if name in schema.names)
    fetched = fetched if {"key", "status"} <= set(fetched) else ()
    split = _first(lower, SPLIT_NAMES, captions)
    sure = bool(own or (ids and not inner))
    name, file, photos = own or inner or ids, own or inner, inside.get("bytes", "")
    return _Columns(captions, photos, name, sure, file, split, fetched)


def _first(names: dict[str, str], known: tuple[str, ...], taken: tuple[str, ...]) -> str:
    return next((names[one] for one in known if one in names and names[one] not in taken), "")


def _image(schema: Any) -> tuple[str, dict[str, str]]:
    """Find the column of photos: its name, and the paths of its bytes and of their name."""
    found: dict[str, dict[str, str]] = {}
    for field in schema:
        kind = str(field.type)
        if kind.startswith("struct<"):
            inside = {one.name: one for one in field.type}
            if "bytes" in inside and _is_bytes(inside["bytes"].type):
                found[field.name] = {
                    name: f"{field.name}.{name}" for name in ("bytes", "path") if name in inside
                }
        elif _is_bytes(field.type):
            found[field.name] = {"bytes": field.name}
    lower = {name.lower(): name for name in found}
    known = next((lower[name] for name in _IMAGE_NAMES if name in lower), "")
    chosen = known or (next(iter(found)) if len(found) == 1 else "")
    return chosen, found.get(chosen, {})


def _is_bytes(kind: Any) -> bool:
    return str(kind) in ("binary", "large_binary", "binary_view")


def _is_text(kind: Any) -> bool:
    return str(kind) in ("string", "large_string", "string_view") or (
        str(kind).startswith("dictionary<values=string")
    )


def _holds_text(kind: Any) -> bool:
    """Whether a column may hold captions: texts, lists of them, or objects with them."""
    return _is_text(kind) or str(kind).startswith(("list<", "large_list<", "struct<"))


def _has_bytes(path: Path, file: Any, group: int, image: str) -> bool:
    """Whether a row group holds photos: Hugging Face keeps the path alone where they lie beside.

    What takes more room than cells without a value holds photos; else the cells are looked at. The
    footer's statistics would count them; but pyarrow ends the process over damaged ones.
    """
    if not image:
        return False
    chunks = file.metadata.row_group(group)
    for index in range(chunks.num_columns):
        chunk = chunks.column(index)
        if chunk.path_in_schema == image:
            if chunk.total_uncompressed_size > _EMPTY * chunks.num_rows + _PAGES:
                return True
            unpacked(path, file, group, image)
            with parquet_errors(path):
                cells = file.read_row_group(group, columns=[image]).column(0).to_pylist()
            return any(_innermost(cell) for cell in cells)
    return True


def _innermost(cell: Any) -> Any:
    """Give the innermost value of a cell: {"bytes": x} -> x."""
    while isinstance(cell, dict):
        cell = next(iter(cell.values()), None)
    return cell


def _text(row: dict[str, Any], column: str) -> str:
    """Give a cell as text, "" where there is none; "image.path" lies in a struct."""
    if not column:
        return ""
    value: Any = row.get(column)
    if value is None and "." in column:
        outer, _, inner = column.rpartition(".")
        inside = row.get(outer)
        value = inside.get(inner) if isinstance(inside, dict) else None
    return "" if value is None else str(value)


def _texts(value: Any) -> Any:
    """Open an object of lists, {"raw": [...], "tokens": [...]}, as datasets write sentences."""
    if isinstance(value, dict):
        for name in ("raw", *CAPTION_NAMES):
            if isinstance(value.get(name), list):
                return value[name]
    return value
