"""Files that others wrote, read within limits: no device, no endless content, JSON with places.

A hostile file ends in one sentence. The limits are far above what people have: COCO's captions
are 60 MB, nested 4 deep, with ids of 6 digits.
"""

import contextlib
import gc
import itertools
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from typing import Any, BinaryIO, Protocol

from miacap.errors import DataError

LARGEST = 2**30
"""Bytes of a file that is read whole, packed or unpacked."""
DEEPEST = 100
"""Levels of lists and objects in JSON."""
DIGITS = 300
"""Digits of a whole number in JSON; a number of more cannot become a float."""

_PIECE = 2**20
_HEAD = 512
_BINARY = {
    b"PK\3\4": "a zip archive",
    b"\x89PNG\r\n": "a PNG photo",
    b"\xff\xd8\xff": "a JPEG photo",
    b"GIF8": "a GIF photo",
    b"PAR1": "a Parquet table",
    b"\x89HDF\r\n": "an HDF5 file",
    b"SQLite format 3\0": "an SQLite database",
    b"\x93NUMPY": "a numpy array",
    b"\x80\2": "a pickle",
    b"\x80\3": "a pickle",
    b"\x80\4": "a pickle",
    b"\x80\5": "a pickle",
    b"%PDF-": "a PDF",
}
"""How files begin that are no text."""
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def read_bytes(path: str | os.PathLike[str], *, unpacks: bool = False) -> bytes:
    """Read a file of text whole.

    A pipe that the shell opened (`/dev/stdin`, `/dev/fd/63`) is read, too; a named pipe is not,
    for it may wait for ever.

    Args:
        path: of the file.
        unpacks: whether the caller unpacks gzip; see `absent`.

    Raises:
        DataError: absent, a folder, a device, a named pipe, an archive or a photo, unreadable,
            or above `LARGEST`.
    """
    with open_file(path, unpacks=unpacks) as file:
        try:
            # What it is says more than that it is too large.
            head = file.read(_HEAD)
            require_text(head, str(path))
            if os.fstat(file.fileno()).st_size > LARGEST:
                raise DataError(_too_large(str(path)))
            return head + read_stream(file, str(path), LARGEST - len(head))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


def open_file(path: str | os.PathLike[str], *, unpacks: bool = False) -> BinaryIO:
    """Open a regular file, or a pipe that the shell opened, for reading; nothing waits.

    Args:
        path: of the file.
        unpacks: whether the caller unpacks gzip; see `absent`.

    Raises:
        DataError: absent, a folder, a device, a named pipe, or unreadable.
    """
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise absent(path, unpacks=unpacks) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except ValueError:  # a NUL in the name
        raise DataError(f"{str(path)!r}: there is no such file.") from None


def absent(path: str | os.PathLike[str], what: str = "file", *, unpacks: bool = False) -> DataError:
    """Give the error about a file that is not there; it names its unpacked, or gzipped, twin.

    Args:
        path: as the user typed it.
        what: could be there: "file", "file or folder".
        unpacks: whether the gzipped twin would be read in its place; else it is not named.
    """
    name = os.fspath(path)
    twin = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz" if unpacks else ""
    there = f" There is {twin}: name that one." if os.path.isfile(twin) else ""
    return DataError(f"{path}: there is no such {what}.{there}")


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open as `open_file` does, for callers to whom an absent file is no fault.

    Raises:
        OSError: absent or unreadable.
        ValueError: no name that a file can have.
        DataError: a folder, a device or a named pipe.
    """
    handle = os.open(path, _OPEN)
    kind = _kind(os.fstat(handle).st_mode, str(path))
    if kind:
        os.close(handle)
        raise DataError(f"{path}: is {kind}; name a file.")
    if hasattr(os, "set_blocking"):
        os.set_blocking(handle, True)
    return open(handle, "rb")


def _kind(mode: int, path: str) -> str:
    """Name what is no file to read, or give ""."""
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode) and not path.startswith(_STREAMS):
        return "a named pipe"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "a device"
    return ""


def require_text(head: bytes, name: str) -> None:
    """Refuse the beginning of an archive, a photo or another file that is no text.

    Raises:
        DataError: it is one; the message says which.
    """
    kind = next((kind for start, kind in _BINARY.items() if head.startswith(start)), "")
    if head[257:262] == b"ustar":
        kind = "a tar"
    if kind in ("a tar", "a zip archive"):
        raise DataError(
            f"{name}: is {kind}, not a file of text; unpack it and name the file in it (photos may "
            "stay in a tar: give it with --photos)."
        )
    if kind:
        raise DataError(f"{name}: is {kind}, not a file of text.")


class Readable(Protocol):
    """What gives bytes piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end."""


def read_stream(file: Readable, name: str, limit: int = LARGEST, why: str = "") -> bytes:
    """Read a stream to its end, piece by piece.

    Args:
        file: what is read.
        name: of the file, for the message.
        limit: bytes that it may hold.
        why: what the limit comes from, where the number does not speak for itself.

    Raises:
        DataError: more than `limit` bytes.
    """
    pieces, size = [], 0
    while piece := file.read(_PIECE):
        size += len(piece)
        if size > limit:
            raise DataError(_too_large(name, limit, why))
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(name: str, limit: int = LARGEST, why: str = "") -> str:
    return f"{name}: holds more than {limit:,} bytes{why}; split the file."


class NotJson(DataError):
    """A text is no JSON at all; one that is JSON beyond the limits is another `DataError`."""


class _Fault(Exception):
    """Why a value is not taken, though it is JSON."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Fault(f"the key {short(key)} occurs twice in one object")
            seen.add(key)
    return result


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise _Fault(
            f"cannot be read (a number of {len(digits):,} digits; at most {DIGITS} are read)"
        )
    return int(digits)


def short(value: object) -> str:
    """Write a value for a message, in at most 60 characters."""
    text = repr(value if not isinstance(value, str | bytes) else value[:80])
    return text if len(text) <= 60 else f"{text[:57]}..."


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole_number)


def parse_json(text: str, where: str, line: int = 0) -> Any:
    """Parse JSON.

    Args:
        text: of a whole file, or of one line of it.
        where: the file, for the message.
        line: number of the line; 0 where the text is the whole file.

    Raises:
        NotJson: it is none; with file, line and column.
        DataError: it is nested too deeply, holds a key twice in one object, or a
            number of too many digits; with file, line and column.
    """
    if len(text) >= _LONG:
        value = _parse_plain(text)
        if value is not None:
            return value
    location = f"{where}, line {line}" if line else where
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        location = f"{where}, line {line or error.lineno}, column {error.colno}"
        raise NotJson(f"{location}: not JSON ({error.msg}).") from None
    except _Fault as fault:
        raise DataError(f"{location}: {fault}.") from None
    except RecursionError:
        raise DataError(f"{location}: {_DEEP}.") from None
    # Most texts have too few brackets to be deep, and need no second look.
    if text.count("[") + text.count("{") > DEEPEST and _too_deep(value):
        raise DataError(f"{location}: {_DEEP}.")
    return value


def _parse_plain(text: str) -> Any:
    """Parse a long text of JSON in a third of the time, or give None where it needs a closer look.

    The limits are checked on the whole: no number of too many digits, as many keys in the objects
    as stand before a colon in the text, and the depth.
    """
    # Where these do not occur, each `":` ends a key unless its quote is escaped.
    if _SPACED_KEY.search(text) or '\\\\":' in text or _has_long_number(text):
        return None
    try:
        with collector_paused():
            value = json.loads(text)
    except (ValueError, RecursionError):
        return None  # said in words by the careful way
    keys, level = 0, [value]
    for _ in range(DEEPEST + 1):
        objects = [one for one in level if type(one) is dict]
        lists = [one for one in level if type(one) is list]
        if not objects and not lists:
            written = text.count('":') - text.count('\\":')
            return value if keys == written else None
        keys += sum(map(len, objects))
        level = _containers(objects, _values) + _containers(lists, iter)
    return None


def _values(objects: list[Any]) -> Iterator[Iterable[Any]]:
    return map(dict.values, objects)


def _containers(parents: list[Any], inside: Callable[[list[Any]], Iterable[Any]]) -> list[Any]:
    """Give the lists and objects among the children of many parents."""
    flat = itertools.chain.from_iterable
    if _NESTING.isdisjoint(map(type, flat(inside(parents)))):  # in C: most are texts and numbers
        return []
    return [child for child in flat(inside(parents)) if type(child) in _NESTING]


_LONG = 100_000  # characters from which a parse without a closer look pays
_SPACED_KEY = re.compile(r'"\s+:')
_RUN = re.compile("[0-9]*")


def _has_long_number(text: str) -> bool:
    """Whether more than `DIGITS` digits stand side by side; such a run has one at every stride."""
    for index in range(0, len(text), DIGITS):
        if text[index] in "0123456789":
            before = text[max(0, index - DIGITS) : index]
            run = _RUN.match(text, index, index + DIGITS + 1)
            digits = len(run[0]) if run else 0
            if digits + len(before) - len(before.rstrip("0123456789")) > DIGITS:
                return True
    return False


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector of cycles while very many objects are made that stay.

    It would look at all of them again and again, and find nothing.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def parse_value(text: str, start: int) -> tuple[Any, int]:
    """Parse the JSON value that begins at `start`; give it and the index behind it.

    Raises:
        json.JSONDecodeError: it is none.
        ValueError: it is beyond the limits of `parse_json`; the message says why.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except _Fault as fault:
        raise ValueError(str(fault)) from None
    except RecursionError:
        raise ValueError(_DEEP) from None
    if _too_deep(value):
        raise ValueError(_DEEP)
    return value, end


_NESTING = {dict, list}
_DEEP = f"cannot be read (nested more than {DEEPEST} levels deep)"


def _too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        if not level:
            return False
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if type(child) in _NESTING
        ]
    return bool(level)
