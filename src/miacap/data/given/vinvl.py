"""VinVL's and Oscar's TSV: a key, a tab, and JSON with the features in base64; with a line index.

    key  {"num_boxes": 2, "features": "..."}                       feature.tsv for captions
    key  2  ...                                                    features.tsv of whole data sets
    key  {"objects": [{"rect": [...], "feature": "..."}, ...]}     predictions.tsv of the detector

Rows of 2,054 numbers are 2,048 features and x0 y0 x1 y1 w h as parts of the photo: all are
kept, and the first four of the six are the boxes. Where `NAME.lineidx` lies beside `NAME.tsv`, rows
are read where it says that they begin. Sources: microsoft/Oscar, oscar/run_captioning.py and
oscar/utils/tsv_file.py; microsoft/scene_graph_benchmark, tools/.../inference.py.
"""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from miacap.data.given import packed
from miacap.data.given.rows import (
    PICTURE_BYTES,
    BadFeatures,
    Beside,
    Found,
    Matrix,
    Rows,
    from_base64,
    matrix,
    whole_number,
)
from miacap.errors import DataError
from miacap.reading import open_file, parse_json

TITLE = "VinVL TSV"

_WITH_BOX = 2054
_LONGEST_KEY = 1000
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


def fits(path: Path) -> bool:
    """Whether a file's first row is a key and JSON with features or objects, or three cells."""
    key, tab, rest = packed.head(path).partition(b"\n")[0].rstrip(b"\r").partition(b"\t")
    count, _, features = rest.partition(b"\t")
    if key and count.isdigit() and _BASE64.fullmatch(features[:_LONGEST_KEY]):
        return True
    if not key or not tab or not rest.lstrip().startswith(b"{"):
        return False
    return re.search(rb'"(num_boxes|features|objects)"\s*:', rest[:2000]) is not None


def found(path: Path, beside: Beside) -> Iterator[Found]:
    """Give the pictures of a file in the order of its rows, or of its line index."""
    index = path.with_suffix(".lineidx")
    rows = _indexed(path, index) if index.is_file() else packed.rows(path)
    for where, row in rows:
        key, _, rest = row.partition(b"\t")
        id = key[:_LONGEST_KEY].decode("utf-8", "replace").strip()
        yield Found(id, where, partial(_load, rest, where))


def _indexed(path: Path, index: Path) -> Iterator[tuple[str, bytes]]:
    """Give the rows that a line index points to. Raises DataError where it cannot be right."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        for number, (begin, end) in enumerate(_spans(index, size), start=1):
            where = f"{path.name}, line {number}"
            file.seek(max(0, begin - 1))
            data = file.read(end - max(0, begin - 1))
            if begin and data[:1] != b"\n":
                raise DataError(_wrong(index, number, f"no row begins at byte {begin}"))
            yield where, data[begin > 0 :].rstrip(b"\r\n")


def _spans(index: Path, size: int) -> Iterator[tuple[int, int]]:
    before: int | None = None
    number = 0
    for number, (_, line) in enumerate(packed.rows(index), start=1):
        if len(line) > 20 or not line.strip().isdigit():
            raise DataError(_wrong(index, number, f"{line[:40]!r} is no byte offset"))
        offset = int(line)
        if offset >= size:
            raise DataError(_wrong(index, number, f"byte {offset} of a file of {size:,}"))
        if before is not None:
            if offset <= before:
                raise DataError(_wrong(index, number, f"{offset} comes after {before}"))
            yield _span(index, number - 1, before, offset)
        before = offset
    if before is not None:
        yield _span(index, number, before, size)


def _span(index: Path, number: int, begin: int, end: int) -> tuple[int, int]:
    if end - begin > PICTURE_BYTES:
        raise DataError(_wrong(index, number, f"a row of {end - begin:,} bytes"))
    return begin, end


def _wrong(index: Path, number: int, why: str) -> str:
    return (
        f"{index}, line {number}: {why}; it is of another file, or damaged. Move it away to read "
        "the rows as they come."
    )


def _load(text: bytes, where: str) -> Rows:
    if not text.lstrip().startswith(b"{"):
        count, _, features = text.partition(b"\t")
        return _of_features(count.strip(), features, where)
    try:
        value = parse_json(text.decode("utf-8"), where)
    except UnicodeDecodeError:
        raise BadFeatures(f"{where}: not UTF-8") from None
    except DataError as error:
        raise BadFeatures(str(error).rstrip(".")) from None
    if isinstance(value, dict) and isinstance(value.get("objects"), list):
        return _of_objects(value["objects"], where)
    if not isinstance(value, dict) or not isinstance(value.get("features"), str):
        raise BadFeatures(f'{where}: neither "features" in base64 nor "objects"')
    return _of_features(value.get("num_boxes"), value["features"], where)


def _of_features(boxes: object, text: bytes | str, where: str) -> Rows:
    count = whole_number(boxes, where, "num_boxes")
    features = matrix(from_base64(text, where, "features"), count, where, "features")
    with_box = features.shape[1] == _WITH_BOX
    return Rows(features, features[:, 2048:2052] if with_box else None, "relative")


def _of_objects(objects: list[Any], where: str) -> Rows:
    rows: list[Matrix] = []
    boxes = []
    for number, one in enumerate(objects, start=1):
        at = f"{where}, object {number}"
        if not isinstance(one, dict) or not isinstance(one.get("feature"), str):
            raise BadFeatures(f'{at}: no "feature" in base64')
        rows.append(matrix(from_base64(one["feature"], at, "features"), 1, at, "features"))
        boxes.append(one.get("rect"))
    if not rows:
        raise BadFeatures(f"{where}: no objects")
    if len({row.shape for row in rows}) > 1:
        raise BadFeatures(f"{where}: objects with features of several lengths")
    if any(not _is_box(box) for box in boxes):
        raise BadFeatures(f'{where}: objects whose "rect" is no list of four numbers')
    return Rows(np.concatenate(rows), np.asarray(boxes, np.float64), "pixels")


def _is_box(box: object) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(n, int | float) and abs(n) < 1e9 for n in box)
    )
