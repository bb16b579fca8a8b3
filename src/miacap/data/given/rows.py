"""What a form gives of a picture: its id, and its rows when they are asked for."""

import base64
import binascii
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from miacap.errors import DataError
from miacap.reading import short
from miacap.wording import counted

PICTURE_BYTES = 2**26
"""Bytes of one picture's numbers, or of the row of text that holds them; 64 MiB."""
MOST_ROWS = 10_000
"""Regions of one picture."""
WIDEST = 2**16
"""Numbers of a region."""

_TOO_LARGE_FOR_HALF = 65_520
"""What is rounded to infinity in half precision, as a store keeps features."""

Matrix: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Size: TypeAlias = tuple[float, float]
"""Width and height of a photo in pixels."""


class BadFeatures(DataError):
    """The features of one picture cannot be used; it is set aside, counted and listed."""


@dataclass(frozen=True)
class Rows:
    """Features of one picture.

    Attributes:
        features: k x V numbers.
        boxes: k x 4, x0 y0 x1 y1; None where the form has none.
        scale: what boxes are measured in; None where the form does not say: numbers of at most 1
            are parts of the photo.
        size: of the photo, where the form says it.
    """

    features: Matrix
    boxes: Matrix | None = None
    scale: Literal["pixels", "relative"] | None = None
    size: Size | None = None


@dataclass(frozen=True)
class Found:
    """A picture in a file.

    Attributes:
        id: as the file writes it.
        where: file and line, or member.
        load: reads its rows; raises BadFeatures. To be called before the next picture is asked
            for.
    """

    id: str
    where: str
    load: Callable[[], Rows]


@dataclass(frozen=True)
class Beside:
    """What a user gives beside a file of features.

    Attributes:
        ids: file of the pictures' ids, one for each row of one big matrix.
        boxes: folder of boxes, an NPY file a picture.
        sizes: of photos, by id as their file writes it.
    """

    ids: Path | None = None
    boxes: Path | None = None
    sizes: Mapping[str, Size] = field(default_factory=dict)


@contextlib.contextmanager
def damage(where: str, wrong: tuple[type[Exception], ...], says: str) -> Iterator[None]:
    """Say in words what a library raises where bytes are wrong.

    Args:
        where: file, and member or name in it.
        wrong: what the library raises.
        says: what is said of it, as "damaged".

    Raises:
        BadFeatures: in place of these, and of any DataError.
    """
    try:
        yield
    except BadFeatures:
        raise
    except DataError as error:
        raise BadFeatures(str(error).rstrip(".")) from None
    except wrong as error:
        raise BadFeatures(f"{where}: {says} ({str(error)[:100]})") from None


def from_base64(text: bytes | str, where: str, what: str) -> bytes:
    """Decode base64 of Python 2 or 3. Raises BadFeatures."""
    try:
        if isinstance(text, bytes):
            return binascii.a2b_base64(text, strict_mode=True)
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadFeatures(f"{where}: {what} are no whole base64 ({error})") from None


def matrix(data: bytes, rows: int, where: str, what: str, width: int | None = None) -> Matrix:
    """Give the bytes of float32 numbers as a matrix of so many rows.

    Raises:
        BadFeatures: the bytes are not those of so many rows.
    """
    if not 1 <= rows <= MOST_ROWS:
        raise BadFeatures(f"{where}: {counted(rows, 'box', 'boxes')}; 1 to {MOST_ROWS:,} are read")
    columns = len(data) // (4 * rows) if width is None else width
    if columns < 1 or columns * 4 * rows != len(data):
        of = "" if width is None else f" of {counted(width, 'number')}"
        raise BadFeatures(
            f"{where}: {what} have {counted(len(data), 'byte')}, which is not "
            f"{counted(rows, 'row')}{of} in single precision"
        )
    return np.frombuffer(data, "<f4").reshape(rows, columns)


def whole_number(text: object, where: str, what: str) -> int:
    """Read a count or a side of a photo. Raises BadFeatures."""
    try:
        if isinstance(text, bytes | str) and len(text) <= 20:
            return int(text)
        if isinstance(text, int | np.integer) and not isinstance(text, bool):
            return int(text)
    except ValueError:
        pass
    raise BadFeatures(f"{where}: {what} is {short(text)}, not a whole number")


def two_dimensional(values: Matrix, where: str) -> Matrix:
    """Give an array of features as k x V: one vector is one row, a grid h x w x V its cells.

    Raises:
        BadFeatures: another shape, or no numbers.
    """
    if values.dtype.kind not in "fiu":
        raise BadFeatures(f"{where}: features are numbers, not {values.dtype}")
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 1:
        values = values[None]
    if values.ndim == 3:
        values = values.reshape(-1, values.shape[-1])
    if values.ndim != 2 or not values.size:
        raise BadFeatures(f"{where}: features of shape {values.shape}, not rows of numbers")
    return values


def checked(rows: Rows, where: str) -> Rows:
    """Give rows with their features in single precision, all finite and within the limits.

    Raises:
        BadFeatures: they are not.
    """
    values = rows.features
    if values.shape[0] > MOST_ROWS or values.shape[1] > WIDEST:
        raise BadFeatures(
            f"{where}: features of shape {values.shape}; at most {MOST_ROWS:,} x {WIDEST:,} are "
            "read"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.astype(np.float32, copy=False)
        finite = bool(np.abs(values).max() < _TOO_LARGE_FOR_HALF)  # false of nan and inf, too
    if not finite:
        raise BadFeatures(f"{where}: features hold numbers that are not finite in half precision")
    return Rows(values, rows.boxes, rows.scale, rows.size)
