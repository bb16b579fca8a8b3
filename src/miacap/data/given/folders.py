"""A folder with an NPZ or NPY file for each picture, as the public toolkits write them.

    cocobu_att/42.npz (feat: 36 x 2048), cocobu_box/42.npy (pixels)    ImageCaptioning.pytorch
    NAME.jpg.npz (x, bbox, num_bbox, image_h, image_w, info)       bottom-up-attention.pytorch
    NAME.npz (features, boxes, cls_prob, image_h, image_w)                           X-modaler
    NAME.npz (features, norm_bb, conf, soft_labels)                                     UNITER
    NAME.npy (k x 2048), NAME_info.npy (pickled: not looked at)                            mmf

Members that are not needed are never opened, so a pickled `info` does no harm. The file's name
without its ending is the id. A vector is one region; h x w x V are the cells of a grid.
"""

import os
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from miacap.data.given.arrays import MAGIC, PICKLED, read_array
from miacap.data.given.packed import DAMAGED, FREE, RATIO, ZIP
from miacap.data.given.rows import (
    PICTURE_BYTES,
    BadFeatures,
    Beside,
    Found,
    Matrix,
    Rows,
    damage,
    two_dimensional,
)
from miacap.errors import DataError
from miacap.reading import open_file
from miacap.tables.names import without_suffix
from miacap.wording import first_names

TITLE = "folder of NPZ or NPY"

_SUFFIXES = (".npz", ".npy")
_FEATURES = ("feat", "features", "x", "z", "att", "feature", "arr_0")
_PIXELS = ("bbox", "boxes", "box")
_PAIRS = ("_att", "_box", "_fc")
_PARTS = ("norm_bb",)
_MOST_MEMBERS = 1000
_WRONG = (*DAMAGED, ValueError, KeyError)


def fits(path: Path) -> bool:
    """Whether a folder holds such files, or a file is one."""
    if path.is_dir():
        return next(_files(path), None) is not None
    with open_file(path) as file:
        begin = file.read(6)
    # A zip archive may hold a TSV instead.
    return begin.startswith(ZIP) and path.suffix.lower() == ".npz"


def found(path: Path, beside: Beside) -> Iterator[Found]:
    """Give the pictures of a folder in the order of their names."""
    boxes = beside.boxes or boxes_of(path)
    root = path if path.is_dir() else path.parent
    _refuse_several(root)
    for file in _files(path) if path.is_dir() else iter([path]):
        id = without_suffix(file.relative_to(root).as_posix(), _SUFFIXES)
        yield Found(id, str(file.relative_to(root)), partial(_load, file, id, boxes))


def boxes_of(path: Path) -> Path | None:
    """Give the folder of boxes that belongs to one of features: cocobu_box beside cocobu_att."""
    if not path.name.endswith("_att"):
        return None
    beside = path.with_name(path.name.removesuffix("_att") + "_box")
    return beside if beside.is_dir() else None


def _refuse_several(folder: Path) -> None:
    """Refuse the folder around cocobu_att and cocobu_box: boxes would be taken for features."""
    inside = sorted(p.name for p in folder.iterdir() if p.name.endswith(_PAIRS) and p.is_dir())
    if len(inside) > 1:
        raise DataError(
            f"{folder}: holds several folders ({', '.join(inside)}); name the one with the "
            "features, its boxes are found beside it."
        )


def _files(folder: Path) -> Iterator[Path]:
    for parent, inside, names in os.walk(folder):
        inside.sort()
        for name in sorted(names):
            if name.lower().endswith(_SUFFIXES) and not name.lower().endswith("_info.npy"):
                yield Path(parent, name)


def _load(path: Path, id: str, boxes: Path | None) -> Rows:
    with damage(str(path), _WRONG, "damaged"), open_file(path) as file:
        if os.fstat(file.fileno()).st_size > 4 * PICTURE_BYTES:
            raise BadFeatures(f"{path}: more than {4 * PICTURE_BYTES:,} bytes for one picture")
        begin = file.read(6)
        file.seek(0)
        if begin == MAGIC:
            rows = Rows(two_dimensional(read_array(file, str(path)), str(path)))
        elif begin.startswith(ZIP):
            rows = _of_archive(file, path)
        elif begin[:1] == b"\x80":
            raise BadFeatures(f"{path}: {PICKLED}")
        else:
            raise BadFeatures(f"{path}: neither NPZ nor NPY (it begins {begin!r})")
    if boxes is None:
        return rows
    beside = boxes / f"{id}.npy"
    if not beside.is_file():
        raise BadFeatures(f"{path}: no boxes for it in {boxes}")
    with damage(str(beside), _WRONG, "damaged"), open_file(beside) as file:
        return Rows(rows.features, read_array(file, str(beside)), None, rows.size)


def _of_archive(file: BinaryIO, path: Path) -> Rows:
    archive = zipfile.ZipFile(file)
    infos = archive.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise BadFeatures(f"{path}: {len(infos):,} members for one picture")
    members = {without_suffix(info.filename, (".npy",)): info for info in infos}

    def member(names: tuple[str, ...]) -> Matrix | None:
        name = next((name for name in names if name in members), None)
        return None if name is None else _member(archive, members[name], f"{path}, {name}")

    name = next((n for n in _FEATURES if n in members), None)
    if name is None and len(members) == 1:  # the only one, whatever it is called
        name = next(iter(members))
    if name is None:
        raise BadFeatures(
            f"{path}: no member is called {', '.join(_FEATURES[:3])} (found "
            f"{first_names(members, 8)})"
        )
    features = two_dimensional(_member(archive, members[name], f"{path}, {name}"), str(path))
    pixels, parts = member(_PIXELS), member(_PARTS)
    count = member(("num_bbox", "num_boxes"))
    if count is not None and count.size == 1 and 0 < int(count.item()) < len(features):
        features = features[: int(count.item())]
        pixels = None if pixels is None else pixels[: len(features)]
        parts = None if parts is None else parts[: len(features)]
    sides = (member(("image_w", "img_w", "width")), member(("image_h", "img_h", "height")))
    size = None
    if sides[0] is not None and sides[1] is not None:
        size = _side(sides[0], path), _side(sides[1], path)
    if pixels is None and parts is not None and parts.ndim == 2:
        return Rows(features, parts[:, :4], "relative", size)
    return Rows(features, pixels, None, size)


def _side(values: Matrix, path: Path) -> float:
    if values.dtype.kind not in "fiu" or values.size != 1 or not np.isfinite(values).all():
        raise BadFeatures(f"{path}: the photo's width and height are no numbers")
    return float(values.reshape(-1)[0])


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Matrix:
    if info.file_size > FREE and info.file_size > RATIO * info.compress_size:
        raise BadFeatures(f"{where}: unpacks to more than {RATIO} times its size")
    with archive.open(info) as file:
        return read_array(file, where)
