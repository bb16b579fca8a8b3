"""Rows of a text of any length, plain, packed with gzip, or in a zip archive; one row in memory."""

import contextlib
import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from miacap.data.given.rows import PICTURE_BYTES
from miacap.errors import DataError
from miacap.reading import open_file

GZIP = b"\x1f\x8b"
ZIP = b"PK\3\4"
RATIO = 200
"""What unpacks to more than this many times its size, and more than `FREE`, is made to."""
FREE = 2**24

_BUFFER = 2**20
_LITTLE = 2**10
DAMAGED = (EOFError, OSError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What packed files raise where their bytes are wrong."""


def head(path: Path, size: int = 2**16) -> bytes:
    """Give the first bytes of a text, unpacked; fewer where it is damaged soon.

    Raises:
        DataError: no file, or damaged from its first byte on.
    """
    data = b""
    try:
        with _opened(path) as files:
            for name, file in files:
                while len(data) < size:
                    with _whole(name):
                        piece = file.read(min(_LITTLE, size - len(data)))
                    if not piece:
                        break
                    data += piece
                break
    except DataError:
        if not data:
            raise
    return data


def rows(path: Path) -> Iterator[tuple[str, bytes]]:
    """Give file and line, and bytes, of each row that is not blank; line ends are taken off.

    Raises:
        DataError: absent or no file, damaged, a row of more than 64 MiB, or something that
            unpacks to 200 times its size.
    """
    with _opened(path) as files:
        for name, file in files:
            for number, row in enumerate(_lines(file, name), start=1):
                if stripped := row.rstrip(b"\r\n"):
                    yield f"{name}, line {number}", stripped


def _lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    number = 0
    while True:
        with _whole(f"{name}, after line {number}"):
            row = file.readline(PICTURE_BYTES + 1)
        number += 1
        if not row:
            return
        if len(row) > PICTURE_BYTES:
            raise DataError(
                f"{name}, line {number}: a row of more than {PICTURE_BYTES:,} bytes; see whether "
                "the file lost its line ends."
            )
        yield row


@contextlib.contextmanager
def _whole(where: str) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise DataError(
            f"{where}: damaged ({error or type(error).__name__}); fetch the file again. What came "
            "before is kept."
        ) from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Iterator[tuple[str, BinaryIO]]]:
    with open_file(path) as file:
        begin = file.read(4)
        file.seek(0)
        if begin.startswith(ZIP):
            yield _members(file, path)
        elif begin.startswith(GZIP):
            yield iter([(path.name, _Unpacked(file, path))])  # type: ignore[list-item]
        else:
            # A buffer that holds a row or two; the handle stands behind what was looked at.
            with open(os.dup(file.fileno()), "rb", buffering=_BUFFER) as plain:
                plain.seek(0)
                yield iter([(path.name, plain)])


def _members(file: BinaryIO, path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Give the texts of a zip archive, as they are called in it."""
    with _whole(str(path)):
        archive = zipfile.ZipFile(file)
    names = [i for i in archive.infolist() if i.filename.lower().endswith((".tsv", ".txt", ".csv"))]
    if not names:
        raise DataError(f"{path}: no .tsv in this zip archive; unpack it and name what is in it.")
    for info in names:
        name = f"{path.name}, member {info.filename}"
        if info.file_size > FREE and info.file_size > RATIO * info.compress_size:
            raise DataError(_made_to(name))
        with _whole(name):
            member = archive.open(info)
        with member:
            yield name, member  # type: ignore[misc]


class _Unpacked:
    """A gzip file that is unpacked as it is read, and no further than is plausible."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._name, self._given = file, path.name, 0
        self._stream = gzip.GzipFile(fileobj=file)

    def read(self, size: int) -> bytes:
        return self._counted(self._stream.read(size))

    def readline(self, size: int) -> bytes:
        return self._counted(self._stream.readline(size))

    def _counted(self, data: bytes) -> bytes:
        self._given += len(data)
        if self._given > FREE + RATIO * self._file.tell():
            raise DataError(_made_to(self._name))
        return data


def _made_to(name: str) -> str:
    return f"{name}: unpacks to more than {RATIO} times its size; no features do."
