"""The rows of a finished shard, read from its file picture by picture.

Files are read and not mapped: a mapped file that is cut short while it is read ends the whole
process (SIGBUS), a read one ends in an error.
"""

import json
import os
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from miacap.data.shards import REMEDY, Index
from miacap.errors import RunError
from miacap.files import sha256
from miacap.wording import counted

_LONGEST_HEADER = 100_000
_CHUNK = 1 << 22
# Of each type: its name in the file, numpy's unsigned integer, and the bits that are all set in
# numbers that are not finite.
_TYPES = {torch.float16: ("F16", "<u2", 0x7C00), torch.float32: ("F32", "<u4", 0x7F800000)}


class _Matrix(NamedTuple):
    """Where a matrix lies in the file."""

    start: int
    rows: int
    width: int
    dtype: torch.dtype

    @property
    def row_bytes(self) -> int:
        return self.width * self.dtype.itemsize


class Shard:
    """A shard whose rows are read as they are asked for.

    Args:
        index: what is to be in it.
        width: length of a row.
        dtype: of the rows.
        verify: compare its bytes with the checksum, and see that all numbers are finite.

    Raises:
        RunError: its bytes are not those that were written.
    """

    def __init__(self, index: Index, width: int, dtype: torch.dtype, verify: bool = True) -> None:
        self._path = index.data
        try:
            self._state = _state(self._path.stat())
            if verify and sha256(self._path) != index.checksum:
                raise self._error("was altered after it was written (checksum)")
            matrices = self._header()
        except OSError as error:
            raise self._error(f"cannot be read ({error.strerror or error})") from None
        count = sum(index.rows.values())
        if "rows" not in matrices:
            raise self._error("holds no rows")
        self._rows = self._expect(matrices["rows"], (count, width), dtype, "rows")
        self._boxes: _Matrix | None = None
        if "boxes" in matrices:
            self._boxes = self._expect(matrices["boxes"], (count, 4), torch.float32, "boxes")
        if verify:
            self._require_finite()

    @property
    def boxed(self) -> bool:
        """Whether its pictures have boxes."""
        return self._boxes is not None

    def rows(self, start: int, end: int) -> Tensor:
        """Give rows `start` to `end` - 1 of the shard, as a tensor of their own."""
        return self._read(self._rows, start, end)

    def boxes(self, start: int, end: int) -> Tensor | None:
        """Give their boxes, or None where the shard has none."""
        return None if self._boxes is None else self._read(self._boxes, start, end)

    def _read(self, matrix: _Matrix, start: int, end: int) -> Tensor:
        tensor = torch.empty(end - start, matrix.width, dtype=matrix.dtype)
        buffer = tensor.numpy().data.cast("B")
        try:
            with open(self._path, "rb", buffering=0) as file:
                if _state(os.fstat(file.fileno())) != self._state:
                    raise self._error("was altered while it was in use")
                file.seek(matrix.start + start * matrix.row_bytes)
                filled = 0
                while filled < len(buffer):
                    count = file.readinto(buffer[filled:])
                    if not count:
                        raise self._error("was cut short while it was in use")
                    filled += count
        except FileNotFoundError:
            raise RunError(
                f"{self._path}: is gone while it was in use; open the store again, in case another "
                "process went on filling it."
            ) from None
        except OSError as error:
            raise self._error(f"cannot be read ({error.strerror or error})") from None
        return tensor

    def _header(self) -> dict[str, Any]:
        """Read where the matrices lie: eight bytes of length, then JSON (safetensors)."""
        with open(self._path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(min(length, _LONGEST_HEADER + 1))
        try:
            if length > _LONGEST_HEADER or len(text) < length:
                raise ValueError(f"a header of {counted(length, 'byte')}")
            return {
                name: self._matrix(said, 8 + length)
                for name, said in json.loads(text).items()
                if name != "__metadata__"
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._error(f"cannot be read ({str(error)[:80]})") from None

    def _matrix(self, said: Any, start: int) -> _Matrix:
        dtype = {name: dtype for dtype, (name, _, _) in _TYPES.items()}[said["dtype"]]
        rows, width = said["shape"]
        begin, end = said["data_offsets"]
        matrix = _Matrix(start + begin, rows, width, dtype)
        if min(rows, width, begin) < 0 or end - begin != rows * matrix.row_bytes:
            raise ValueError("sizes that contradict each other")
        if start + end > self._state[0]:
            raise ValueError("a matrix beyond the end of the file")
        return matrix

    def _expect(
        self, matrix: _Matrix, shape: tuple[int, int], dtype: torch.dtype, what: str
    ) -> _Matrix:
        if (matrix.rows, matrix.width) != shape or matrix.dtype != dtype:
            raise RunError(
                f"{self._path}: {what} of shape {(matrix.rows, matrix.width)} and type "
                f"{matrix.dtype}, not {shape} and {dtype}. {REMEDY}"
            )
        return matrix

    def _require_finite(self) -> None:
        for matrix in (self._rows, self._boxes):
            if matrix is None:
                continue
            step = max(1, _CHUNK // max(1, matrix.row_bytes))
            for start in range(0, matrix.rows, step):
                part = self._read(matrix, start, min(start + step, matrix.rows))
                if not is_finite(part):
                    raise self._error("holds numbers that are not finite")

    def _error(self, what: str) -> RunError:
        return RunError(f"{self._path}: the shard {what}. {REMEDY}")


def is_finite(rows: Tensor) -> bool:
    """Whether all numbers are finite; of rows in half or single precision, in memory of the CPU.

    Looks at bits: torch, which computes with half precision for it, takes 15 times as long.
    """
    _, unsigned, special = _TYPES[rows.dtype]
    bits = rows.numpy().view(unsigned)
    return not np.any((bits & bits.dtype.type(special)) == special)


def _state(status: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file is written or replaced: size, time, identity."""
    return status.st_size, status.st_mtime_ns, status.st_ino
