"""Text files as people have them: packed or not, with or without a byte order mark."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from miacap.errors import DataError

_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_bytes(path: Path) -> bytes:
    """Read a file, unpacked if it is gzip (whatever its name).

    Raises:
        DataError: absent, unreadable, or damaged gzip.
    """
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error}); fetch it again.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


def read_text(path: Path) -> str:
    """Read UTF-8 text; a byte order mark at its start is dropped.

    Raises:
        DataError: as `read_bytes`; another encoding, with line and byte.
    """
    data = read_bytes(path)
    if data.startswith(_UTF16) or b"\0" in (data[:1], data[1:2]):  # with its mark, or without
        raise DataError(f"{path}: this is UTF-16 text; save it as UTF-8.")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise DataError(
            f"{path}, line {line}: byte {column} of the line (0x{data[error.start]:02x}) is not "
            "UTF-8; save the file as UTF-8."
        ) from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Give the lines that are not blank, with their numbers from 1.

    Only a newline ends a line; a carriage return before it goes with it.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = line.removesuffix("\r")
        if line.strip():
            yield number, line


def parse_json(text: str, where: str, line: int = 0) -> Any:
    """Parse JSON.

    Args:
        text: of a whole file, or of one line of it.
        where: the file, for the message.
        line: number of the line; 0 where the text is the whole file.

    Raises:
        DataError: it is none; with file and line.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{where}, line {line or error.lineno}, column {error.colno}"
        raise DataError(f"{place}: not JSON ({error.msg}).") from None
    except (ValueError, RecursionError) as error:  # endless numbers, endless nesting
        raise DataError(f"{where}, line {line or 1}: JSON that is too much ({error}).") from None
