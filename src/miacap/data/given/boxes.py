"""Boxes of features that somebody brings, made relative to the photo: x0 y0 x1 y1, 0 to 1."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from miacap.data.given.ids import Matching
from miacap.data.given.rows import BadFeatures, Matrix, Rows, Size
from miacap.errors import DataError
from miacap.reading import parse_json
from miacap.tables.text import numbered_lines, read_text

_ROUNDING = 1e-3
_LONGEST_SIDE = 1e9
"""Pixels of a photo's side; what is far more is no side."""
_BEYOND = 0.05
"""Part of a side by which boxes may reach beyond the photo: detectors round and pad."""


class UnknownSize(DataError):
    """Boxes are in pixels, and nobody says how large the photo is."""


def relative(rows: Rows, where: str, size: Size | None = None) -> Matrix | None:
    """Give boxes as parts of the photo.

    Args:
        rows: of a picture.
        where: file and line, for messages.
        size: of the photo, where the rows do not say it.

    Returns:
        k x 4, or None where the form has no boxes.

    Raises:
        UnknownSize: they are in pixels and the size is not known.
        BadFeatures: numbers that are no boxes of this photo.
    """
    if rows.boxes is None:
        return None
    count = len(rows.features)
    if rows.boxes.dtype.kind not in "fiu" or rows.boxes.shape != (count, 4):
        raise BadFeatures(f"{where}: boxes of shape {rows.boxes.shape}, not {(count, 4)}")
    with np.errstate(over="ignore"):
        boxes: Matrix = rows.boxes.astype(np.float32)
    _require_finite(boxes, where)
    scale = rows.scale or ("relative" if boxes.max() <= 1 + _ROUNDING else "pixels")
    if scale == "pixels":
        size = rows.size or size
        if size is None:
            raise UnknownSize(f"{where}: boxes are in pixels, and the photo's size is not known")
        if not all(1 <= side < _LONGEST_SIDE for side in size):  # false of nan, too
            raise BadFeatures(f"{where}: a photo of {size[0]:g} x {size[1]:g} pixels")
        boxes = boxes / np.asarray([*size, *size], np.float32)
        _require_finite(boxes, where)
    if boxes.min() < -_BEYOND or boxes.max() > 1 + _BEYOND:
        photo = "" if size is None else f" of {size[0]:g} x {size[1]:g}"
        raise BadFeatures(
            f"{where}: boxes reach beyond the photo{photo}; are width and height swapped?"
        )
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise BadFeatures(f"{where}: boxes end before they begin; x0 y0 x1 y1 are read")
    return np.clip(boxes, 0, 1)


def _require_finite(boxes: Matrix, where: str) -> None:
    """Refuse boxes with nan or infinity, of which no comparison says anything."""
    if not np.isfinite(boxes).all():
        raise BadFeatures(f"{where}: boxes hold numbers that are not finite")


class Sizes:
    """Sizes of photos, matched in whichever way a file of features writes an id.

    Args:
        tables: size by id, size by file name, ...; the first that has a photo says it.
    """

    def __init__(self, *tables: Mapping[str, Size]) -> None:
        self._tables = [(table, Matching(tuple(table))) for table in tables]

    def get(self, id: str) -> Size | None:
        """Give a photo's size, or None where nobody said it."""
        for table, matching in self._tables:
            name = matching.find(id)
            if name is not None:
                return table[name]
        return None


def read_sizes(path: Path) -> Sizes:
    """Read the sizes of photos from annotations or from VinVL's `hw.tsv`.

    Annotations are COCO's, or any JSON object with a list "images" of objects that have `width`,
    `height` and an id or a file name. A line of `hw.tsv` is a key, a tab and
    [{"height": 480, "width": 640}].

    Raises:
        DataError: neither, or a size that cannot be; with the place.
    """
    text = read_text(path)
    tables: dict[str, dict[str, Size]] = {}
    by_line = "\t" in text[:1000].partition("\n")[0]
    for column, id, size in _of_lines(text, path) if by_line else _of_json(text, path):
        tables.setdefault(column, {})[id] = size
    if not tables:
        raise DataError(f"{path}: no photo's width and height in it.")
    return Sizes(*(tables[name] for name in _NAMES if name in tables))


_NAMES = ("key", "id", "cocoid", "image_id", "file_name", "filename", "file_path")


def _of_json(text: str, path: Path) -> Iterator[tuple[str, str, Size]]:
    value = parse_json(text, str(path))
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list):
        raise DataError(
            f'{path}: no list "images"; sizes are read from annotations like COCO\'s, and from '
            "VinVL's hw.tsv."
        )
    for number, image in enumerate(images, 1):
        where = f"{path}, image {number}"
        if not isinstance(image, dict):
            raise DataError(f"{where}: expected an object.")
        if "width" in image and "height" in image:
            size = _size(image, where)
            for name in _NAMES:
                id = image.get(name)
                if isinstance(id, str | int) and not isinstance(id, bool):
                    yield name, str(id), size


def _of_lines(text: str, path: Path) -> Iterator[tuple[str, str, Size]]:
    for number, line in numbered_lines(text, str(path)):
        key, _, rest = line.partition("\t")
        where = f"{path}, line {number}"
        value = parse_json(rest, str(path), number)
        value = value[0] if isinstance(value, list) and value else value
        if not isinstance(value, dict):
            raise DataError(f"{where}: no height and width.")
        yield "key", key, _size(value, where)


def _is_side(side: object) -> bool:
    whole = isinstance(side, int | float) and not isinstance(side, bool)
    return whole and 1 <= side < _LONGEST_SIDE  # type: ignore[operator]


def _size(value: dict[str, Any], where: str) -> Size:
    sides = (value.get("width"), value.get("height"))
    if not all(_is_side(side) for side in sides):
        raise DataError(f"{where}: width and height are {json.dumps(sides)[:60]}, no size.")
    return float(sides[0]), float(sides[1])  # type: ignore[arg-type]
