"""HDF5: datasets or groups named by pictures, or one table for all.

    {id}_features, {id}_boxes, {id}_cls_prob                          meshed-memory Transformer
    {id} (k x V)                                                       ImageCaptioning.pytorch
    NAME/features, NAME/boxes, NAME/img_w, NAME/img_h                                    VL-T5
    features or image_features (N x k x V), image_bb, image_id         bottom-up VQA, --ids FILE
    features (N rows of k * V numbers), num_boxes, image_id            updown-baseline
    reg_feat (N x k x V), reg_mask (true: padding), image_ids          GRIT

Only what lies in the file itself is read: no external or soft link, no external storage, no
virtual dataset. Shapes are compared with the bytes that are stored before anything is read.
"""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from miacap.data.given.matrix_file import read_ids
from miacap.data.given.packed import FREE, RATIO
from miacap.data.given.rows import (
    PICTURE_BYTES,
    BadFeatures,
    Beside,
    Found,
    Matrix,
    Rows,
    damage,
    two_dimensional,
    whole_number,
)
from miacap.errors import DataError, MissingExtra
from miacap.reading import LARGEST, open_file
from miacap.wording import counted

TITLE = "HDF5"

_MAGIC = b"\x89HDF\r\n\x1a\n"
_TABLES = ("image_features", "features", "reg_feat")
_IDS = ("image_id", "image_ids", "img_id", "ids")
_BOXES = ("spatial_features", "image_bb", "boxes", "bbox")
"""Those that are parts of the photo first: they need no size."""
_ENDING = "_features"
_OTHERS = ("_boxes", "_cls_prob", "_grids", "_size", "_mask")
_WIDTHS, _HEIGHTS = ("img_w", "image_w", "width"), ("img_h", "image_h", "height")
_LARGEST_CHUNK = 2**28
_WRONG = (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError, OverflowError)
"""What h5py raises where bytes are wrong."""


def fits(path: Path) -> bool:
    """Whether a file is HDF5."""
    if path.is_dir():
        return False
    with open_file(path) as file:
        return file.read(8) == _MAGIC


def found(path: Path, beside: Beside) -> Iterator[Found]:
    """Give the pictures of a file in the order of their names, or of the table."""
    try:
        import h5py
    except ModuleNotFoundError:
        raise MissingExtra("hdf5", "Reading features from HDF5") from None
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(h5py.File(path, "r"))
            table = next((name for name in _TABLES if _is_table(file, name)), None)
            keys = [] if table is not None else [_text(key) for key in file]
        except _WRONG as error:
            raise DataError(f"{path}: damaged HDF5 ({str(error)[:100]}); fetch it again.") from None
        if table is not None:
            yield from _of_table(file, table, path, beside)
        for key in keys:
            if not key.endswith(_OTHERS):
                id = key.removesuffix(_ENDING)
                yield Found(id, f"{path.name}, {key}", partial(_of_key, file, key, path.name))


def _text(name: str | bytes) -> str:
    """Give a name, or an id; h5py gives bytes for what is not UTF-8."""
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)


def _has(parent: Any, name: str) -> bool:
    """Whether there is such a name. What a link leads to is not opened to see whether it is there.

    Source: H5Lexists of HDF5.
    """
    return bool(parent.id.links.exists(name.encode("utf-8", "surrogateescape")))


def _lies_here(parent: Any, name: str) -> bool:
    """Whether what has this name lies in the file itself."""
    import h5py

    info = parent.id.links.get_info(name.encode("utf-8", "surrogateescape"))
    return bool(info.type == h5py.h5l.TYPE_HARD)


def _is_table(file: Any, name: str) -> bool:
    return _has(file, name) and _lies_here(file, name) and hasattr(file[name], "shape")


def _first(parent: Any, names: Sequence[str]) -> str | None:
    """Give the first of these names that there is."""
    return next((name for name in names if _has(parent, name)), None)


def _inside(parent: Any, key: str, where: str) -> Any:
    """Open what lies in the file itself. Raises BadFeatures where it is a link to elsewhere."""
    if not _has(parent, key):
        raise BadFeatures(f"{where}: {key} cannot be opened under its name")
    if not _lies_here(parent, key):
        raise BadFeatures(f"{where}: {key} is a link to elsewhere; nothing is followed")
    return parent[key]


def _of_key(file: Any, key: str, name: str) -> Rows:
    where = f"{name}, {key}"
    with damage(where, _WRONG, "cannot be read"):
        item = _inside(file, key, where)
        if hasattr(item, "keys"):
            return _of_group(item, where)
        features = two_dimensional(_values(item, where), where)
        beside = f"{key.removesuffix(_ENDING)}_boxes"
        has_boxes = key.endswith(_ENDING) and _has(file, beside)
        boxes = _values(_inside(file, beside, where), where) if has_boxes else None
        return Rows(features, boxes)


def _of_group(group: Any, where: str) -> Rows:
    if not _has(group, "features"):
        raise BadFeatures(f"{where}: a group without features")
    features = two_dimensional(_values(_inside(group, "features", where), where), where)
    boxes = _values(_inside(group, "boxes", where), where) if _has(group, "boxes") else None
    sides = []
    for names in (_WIDTHS, _HEIGHTS):
        name = _first(group, names)
        if name is not None:
            side = _values(_inside(group, name, where), where)
            sides.append(float(side.reshape(-1)[0]) if side.size == 1 else 0.0)
    return Rows(features, boxes, None, (sides[0], sides[1]) if len(sides) == 2 else None)


def _of_table(file: Any, table: str, path: Path, beside: Beside) -> Iterator[Found]:
    try:
        with damage(str(path), _WRONG, "cannot be read"):
            rows = len(file[table])
            columns = {"features": _inside(file, table, str(path))}
            for what, names in (
                ("boxes", _BOXES),
                ("count", ("num_boxes", "num_bbox")),
                ("mask", ("reg_mask",)),
                ("width", _WIDTHS),
                ("height", _HEIGHTS),
            ):
                name = _first(file, names)
                if name is not None:
                    columns[what] = _inside(file, name, str(path))
                    if len(columns[what]) != rows:
                        raise BadFeatures(f"{path}: {name} has not {counted(rows, 'row')}")
            ids = _ids(file, path, beside)
    except BadFeatures as error:
        raise DataError(f"{error}.") from None
    if len(ids) != rows:
        raise DataError(
            f"{path}: {counted(len(ids), 'id')} for {counted(rows, 'row')}; each row needs one."
        )
    for number, id in enumerate(ids):
        where = f"{path.name}, {table} row {number}"
        yield Found(id, where, partial(_of_row, columns, number, where))


def _ids(file: Any, path: Path, beside: Beside) -> Sequence[str]:
    name = _first(file, _IDS)
    if beside.ids is not None:
        return read_ids(beside.ids)
    if name is None:
        raise BadFeatures(
            f"{path}: a table without its pictures' ids; name a file with one for each row: --ids "
            "FILE"
        )
    dataset = _inside(file, name, str(path))
    _require_sound(dataset, f"{path}, {name}")
    if dataset.ndim != 1 or dataset.size * dataset.dtype.itemsize > LARGEST:
        raise BadFeatures(f"{path}: {name} of shape {dataset.shape}")
    values = dataset[...]
    return [_text(value) for value in values]


def _of_row(columns: dict[str, Any], number: int, where: str) -> Rows:
    with damage(where, _WRONG, "cannot be read"):
        values = {name: _values(column, where, number) for name, column in columns.items()}
        features, boxes = values["features"], values.get("boxes")
        if "count" in values:
            count = whole_number(values["count"].reshape(-1)[0], where, "num_boxes")
            if count < 1 or (features.ndim == 1 and features.size % count):
                has, of = counted(features.size, "number"), counted(count, "box", "boxes")
                raise BadFeatures(f"{where}: {has} for {of}")
            features = _cut(features, count)
            boxes = None if boxes is None else _cut(boxes, count)
        elif "mask" in values:
            keep = ~values["mask"].reshape(-1).astype(bool)
            features = features[keep]
        features = two_dimensional(features, where)
        size = None
        if "width" in values and "height" in values:
            size = float(values["width"].reshape(-1)[0]), float(values["height"].reshape(-1)[0])
        if boxes is not None and boxes.ndim == 2 and boxes.shape[1] > 4:  # x0 y0 x1 y1 w h
            boxes = boxes[:, :4]
        return Rows(features, boxes, None, size)


def _cut(values: Matrix, count: int) -> Matrix:
    """Give a flat row as so many rows, and a padded one without its padding."""
    return values.reshape(count, -1) if values.ndim == 1 else values[:count]


def _values(dataset: Any, where: str, row: int | None = None) -> Matrix:
    """Read a dataset, or one row of it, that is no larger than a picture may be."""
    _require_sound(dataset, where)
    shape = dataset.shape if row is None else dataset.shape[1:]
    size = int(np.prod(shape, dtype=object)) * dataset.dtype.itemsize
    if size > PICTURE_BYTES:
        raise BadFeatures(
            f"{where}: an array of shape {shape}; at most {PICTURE_BYTES:,} bytes are read for a "
            "picture"
        )
    return np.asarray(dataset[...] if row is None else dataset[row])


def _require_sound(dataset: Any, where: str) -> None:
    """Refuse what lies elsewhere, or says to be far more than is stored."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise BadFeatures(f"{where}: no array")
    if dataset.is_virtual or dataset.external:
        raise BadFeatures(f"{where}: its numbers lie in another file; nothing is followed")
    plain = dataset.dtype.kind in "fiubSU" or h5py.check_string_dtype(dataset.dtype)
    if not plain and h5py.check_vlen_dtype(dataset.dtype) is None:
        raise BadFeatures(f"{where}: {dataset.dtype} is no kind of number")
    size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if (size and not stored) or (size > FREE and size > RATIO * stored):
        raise BadFeatures(
            f"{where}: an array of shape {dataset.shape} of which {counted(stored, 'byte')} are "
            "stored"
        )
    if dataset.chunks is not None:
        chunk = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
        if chunk > _LARGEST_CHUNK:
            raise BadFeatures(f"{where}: is stored in pieces of {chunk:,} bytes")
