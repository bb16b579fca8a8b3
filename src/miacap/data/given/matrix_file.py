"""One big NPY: N x k x V or N x V, a picture a row, with a list of the pictures' ids.

The list is text with an id a line, a JSON list, or an NPY of whole numbers or text. Rows are read
where they lie and not mapped: a mapped file that is cut short while it is read ends the
process, a read one ends in a sentence.
"""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from miacap.data.given.arrays import MAGIC, Header, read_array, read_exactly, read_header, shaped
from miacap.data.given.rows import PICTURE_BYTES, BadFeatures, Beside, Found, Rows, two_dimensional
from miacap.errors import DataError
from miacap.reading import LARGEST, open_file, parse_json
from miacap.tables.names import text_id
from miacap.tables.text import numbered_lines, read_text
from miacap.wording import counted

TITLE = "big NPY with ids"


def fits(path: Path) -> bool:
    """Whether a file is one numpy array."""
    if path.is_dir():
        return False
    with open_file(path) as file:
        return file.read(6) == MAGIC


def found(path: Path, beside: Beside) -> Iterator[Found]:
    """Give the pictures of an array in the order of its rows."""
    if beside.ids is None:
        raise DataError(
            f"{path}: one array says nothing of its pictures; name the file with their ids, one "
            "for each row: --ids FILE."
        )
    with open_file(path) as file:
        try:
            header = read_header(file, str(path))
        except BadFeatures as error:
            raise DataError(f"{error}.") from None
        _require_rows(header, path, os.fstat(file.fileno()).st_size)
        ids = read_ids(beside.ids)
        if len(ids) != header.shape[0]:
            raise DataError(
                f"{beside.ids}: {counted(len(ids), 'id')} for {counted(header.shape[0], 'row')} of "
                f"{path}; each row needs one."
            )
        for number, id in enumerate(ids):
            where = f"{path.name}, row {number}"
            yield Found(id, where, partial(_load, file, header, number, where))


def _require_rows(header: Header, path: Path, size: int) -> None:
    shape = header.shape
    if header.fortran or len(shape) not in (2, 3) or header.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: an array of shape {shape} and type {header.dtype}"
            f"{' in Fortran order' if header.fortran else ''}; N x k x V or N x V numbers in C "
            "order are read."
        )
    if header.start + header.bytes > size:
        raise DataError(
            f"{path}: an array of shape {shape} takes {header.start + header.bytes:,} bytes, the "
            f"file has {size:,}; it was cut short. Fetch it again."
        )
    if shape[0] and header.bytes // shape[0] > PICTURE_BYTES:
        raise DataError(
            f"{path}: an array of shape {shape} has more than {PICTURE_BYTES:,} bytes a picture."
        )


def _load(file: BinaryIO, header: Header, number: int, where: str) -> Rows:
    length = header.bytes // header.shape[0]
    file.seek(header.start + number * length)
    data = read_exactly(file, length, where)
    values = shaped(data, header.dtype, header.shape[1:], where)
    return Rows(two_dimensional(values, where))


def read_ids(path: Path) -> Sequence[str]:
    """Read a list of ids, in the order of the rows. Raises DataError."""
    with open_file(path, unpacks=True) as file:
        begin = file.read(6)
        file.seek(0)
        if begin == MAGIC:
            try:
                values = read_array(file, str(path), LARGEST)
            except BadFeatures as error:
                raise DataError(f"{error}.") from None
            if values.ndim != 1 or values.dtype.kind not in "iuSU":
                raise DataError(f"{path}: ids are one row of whole numbers or of text.")
            try:
                return [_text(value) for value in values]
            except (ValueError, SystemError):  # numbers that are no letters
                raise DataError(f"{path}: ids that are no text.") from None
    text = read_text(path)
    if not text.lstrip().startswith("["):
        return [line.strip() for _, line in numbered_lines(text, str(path))]
    value = parse_json(text, str(path))
    return [text_id(id, f"{path}, entry {number}") for number, id in enumerate(value, 1)]


def _text(value: object) -> str:
    text = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return text.decode("utf-8", "replace")
