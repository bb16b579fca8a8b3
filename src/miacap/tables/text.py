"""Text of a file: UTF-8, UTF-16 or UTF-32, packed with gzip or not, within limits."""

import gzip
import hashlib
import io
import itertools
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from miacap.errors import DataError
from miacap.reading import LARGEST, read_bytes, read_stream, require_text

LONGEST_ROW = 2**22
"""Characters of a line or row; 4 million."""

STANDARD_INPUT = "standard input"

GZIP = b"\x1f\x8b"
# Captions pack to a quarter. What unpacks to more than 16 MiB and 200 times its size is made to.
_PACKED_RATIO = 200
_ALWAYS_UNPACKED = 2**24
# The mark of UTF-16 (little end first) begins that of UTF-32.
_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


def name_of(path: str | os.PathLike[str]) -> str:
    """Give the name of a file for messages; "-" is standard input."""
    return STANDARD_INPUT if str(path) == "-" else str(path)


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a text; a byte order mark at its start is dropped, gzip is undone.

    Args:
        path: a file, or "-" for standard input.

    Raises:
        DataError: absent, no file, too large, damaged gzip, or another encoding, with line
            and byte.
    """
    name = name_of(path)
    if str(path) == "-":
        data = read_stream(sys.stdin.buffer, name)
    else:
        data = read_bytes(path, unpacks=True)
    return text_of(data, name)


@dataclass(frozen=True)
class TextFile:
    """A text, and of which bytes it is.

    Attributes:
        name: of the file, without its folder.
        text: as `read_text` gives it.
        sha256: checksum of the bytes that were read, packed as they came.
        bytes: how many.
    """

    name: str
    text: str
    sha256: str
    bytes: int


def read_text_file(path: str | os.PathLike[str]) -> TextFile:
    """Read a text and the checksum of its bytes at once: a pipe can be read only once.

    Raises:
        DataError: as `read_text`.
    """
    data = read_bytes(path, unpacks=True)
    checksum = hashlib.sha256(data).hexdigest()
    return TextFile(Path(path).name, text_of(data, str(path)), checksum, len(data))


def text_of(data: bytes, name: str) -> str:
    """Give the text that bytes hold; see `read_text`."""
    data = _unpacked(data, name)
    require_text(data, name)
    return decode(data, name)


def read_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Give all lines of an open file, blank ones too; UTF-8 as they come, the rest read whole.

    Only a newline ends a line.

    Raises:
        DataError: a line longer than `LONGEST_ROW`, or what `read_text` refuses.
    """
    first = file.readline(LONGEST_ROW + 2)
    if not first.startswith(GZIP) and encoding_of(first) == "utf-8":
        require_text(first, name)
        pieces = itertools.chain([first] if first else [], iter(_piece(file), b""))
        for number, piece in enumerate(pieces, start=1):
            piece = piece.removesuffix(b"\n")
            if len(piece) > LONGEST_ROW:
                raise DataError(too_long(name, number))
            line = _utf8(piece, name, number)
            yield line.removeprefix("\ufeff") if number == 1 else line
        return
    text = text_of(first + read_stream(file, name), name)
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1):
        if len(line) > LONGEST_ROW:
            raise DataError(too_long(name, number))
        yield line


def _piece(file: BinaryIO) -> Callable[[], bytes]:
    return lambda: file.readline(LONGEST_ROW + 2)


def _utf8(data: bytes, name: str, line: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(name, line, error.start, data[error.start])) from None


def _not_utf8(name: str, line: int, index: int, byte: int) -> str:
    return (
        f"{name}, line {line}: byte {index + 1} of the line (0x{byte:02x}) is not UTF-8; "
        "save the file as UTF-8."
    )


def _unpacked(data: bytes, name: str) -> bytes:
    """Undo gzip, whatever the file's name."""
    if not data.startswith(GZIP):
        return data
    limit = min(LARGEST, max(_ALWAYS_UNPACKED, _PACKED_RATIO * len(data)))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return read_stream(file, name, limit, f", unpacked from {len(data):,}")
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{name}: damaged gzip file ({error}); fetch it again.") from None


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8, or UTF-16 and UTF-32 by their marks; UTF-16 also without one.

    Raises:
        DataError: another encoding, with line and byte.
    """
    encoding = encoding_of(data)
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(
                f"{name}: begins as {encoding.upper()} text, but byte {error.start + 1} is not; "
                "save the file as UTF-8."
            ) from None
        line = data.count(b"\n", 0, error.start) + 1
        index = error.start - (data.rfind(b"\n", 0, error.start) + 1)
        raise DataError(_not_utf8(name, line, index, data[error.start])) from None


def encoding_of(head: bytes) -> str:
    """Give the encoding of a text that begins with these bytes."""
    encoding = next((kind for mark, kind in _MARKS.items() if head.startswith(mark)), "utf-8")
    # Text begins with a letter or a bracket, which has one empty byte in UTF-16.
    if encoding == "utf-8" and len(head) > 1 and (head[0] == 0) != (head[1] == 0):
        encoding = "utf-16-be" if head[0] == 0 else "utf-16-le"
    return encoding


def numbered_lines(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Give the lines that are not blank, with their numbers from 1.

    Only a newline ends a line; a carriage return before it goes with it.

    Raises:
        DataError: a line longer than `LONGEST_ROW`.
    """
    start, number = 0, 0
    while start <= len(text):
        number += 1
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if end - start > LONGEST_ROW:
            raise DataError(too_long(name, number))
        line = text[start:end].removesuffix("\r")
        if line.strip():
            yield number, line
        start = end + 1


def too_long(name: str, line: int) -> str:
    """Say that a row is beyond the limit."""
    return (
        f"{name}, line {line}: a row of more than {LONGEST_ROW:,} characters; "
        "see whether the file lost its line ends."
    )


def first_line(text: str) -> str:
    """Give the first line that is not blank, cut where a row would be too long."""
    start = len(text) - len(text.lstrip())
    return text[start : start + LONGEST_ROW].split("\n", 1)[0].rstrip("\r")
