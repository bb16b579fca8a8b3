"""NPY arrays of strangers: the header first, then as many bytes as it promises, never a pickle.

A file begins with `\\x93NUMPY`, the version, the length of the header, and the header: a Python
dictionary of literals, {'descr': '<f4', 'fortran_order': False, 'shape': (36, 2048), }.
Source: numpy/lib/format.py.
"""

import ast
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from miacap.data.given.rows import PICTURE_BYTES, BadFeatures, Matrix
from miacap.reading import Readable
from miacap.wording import counted

MAGIC = b"\x93NUMPY"
PICKLED = (
    "is pickled: reading it could run code of whoever wrote it, so it is refused. Save plain "
    "arrays of numbers in its place"
)

_LONGEST_HEADER = 10_000
_PIECE = 2**20
_DTYPE = re.compile(r"[<>|=]?(?:[iu][1248]|f[248]|b1|[SU][1-9][0-9]{0,3})")
"""What numpy has, of numbers and of text that is not empty."""


@dataclass(frozen=True)
class Header:
    """What an array says of itself.

    Attributes:
        dtype: of its numbers, or of text.
        shape: of the array.
        fortran: whether the first axis runs fastest.
        start: index of its first byte in the file.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int

    @property
    def bytes(self) -> int:
        """How many bytes follow the header."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: Readable, where: str) -> Header:
    """Read the header of an array; the file stands behind it then. Raises BadFeatures."""
    begin = read_exactly(file, 8, where)
    if not begin.startswith(MAGIC):
        raise BadFeatures(f"{where}: no numpy array (it begins {begin!r})")
    long = begin[6] >= 2
    length = int.from_bytes(read_exactly(file, 4 if long else 2, where), "little")
    if length > _LONGEST_HEADER:
        raise BadFeatures(f"{where}: an array with a header of {counted(length, 'byte')}")
    text = read_exactly(file, length, where).decode("utf-8", "replace")
    try:
        said = ast.literal_eval(text.strip())
        descr, shape = said["descr"], said["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        raise BadFeatures(f"{where}: an array whose header cannot be read") from None
    if isinstance(descr, str) and descr.strip("<>|=").startswith("O"):
        raise BadFeatures(f"{where}: {PICKLED}")
    if not isinstance(descr, str) or not _DTYPE.fullmatch(descr):
        raise BadFeatures(f"{where}: an array of {str(descr)[:60]}, not of numbers")
    plain = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**62 for n in shape)
    if not plain or len(shape) > 8:
        raise BadFeatures(f"{where}: an array of shape {str(shape)[:60]}")
    fortran = bool(said.get("fortran_order"))
    return Header(np.dtype(descr), shape, fortran, 8 + (4 if long else 2) + length)


def read_array(file: Readable, where: str, limit: int = PICTURE_BYTES) -> Matrix:
    """Read an array from its first byte to its last.

    Raises:
        BadFeatures: damaged, cut short, pickled, or of more than `limit` bytes.
    """
    header = read_header(file, where)
    if header.bytes > limit:
        raise BadFeatures(
            f"{where}: an array of shape {header.shape}, {header.bytes:,} bytes; at most "
            f"{limit:,} are read"
        )
    data = read_exactly(file, header.bytes, where)
    if header.fortran:
        return shaped(data, header.dtype, header.shape[::-1], where).T
    return shaped(data, header.dtype, header.shape, where)


def shaped(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> Matrix:
    """Give bytes as an array. Raises BadFeatures where numpy has no array of such a shape."""
    try:
        return np.frombuffer(data, dtype).reshape(shape)
    except ValueError:  # no numbers, and axes that are too long together
        raise BadFeatures(f"{where}: an array of shape {shape}") from None


def read_exactly(file: Readable, count: int, where: str) -> bytes:
    """Read so many bytes, piece by piece: what is not there is never allocated.

    Raises:
        BadFeatures: the file ends earlier.
    """
    pieces = bytearray()
    while len(pieces) < count:
        piece = file.read(min(_PIECE, count - len(pieces)))
        if not piece:
            raise BadFeatures(
                f"{where}: cut short after {counted(len(pieces), 'byte')} of {count:,}"
            )
        pieces += piece
    return bytes(pieces)
