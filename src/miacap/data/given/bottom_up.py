"""The TSV of bottom-up attention, and that of LXMERT: a picture a line, base64 of float32.

    image_id  image_w  image_h  num_boxes  boxes  features                     (6 columns)
    img_id  img_h  img_w  objects_id  objects_conf  attrs_id  attrs_conf
            num_boxes  boxes  features                                        (10: height first)

There is no header; where a first row names the columns, its order counts. Boxes are x0 y0 x1 y1 in
pixels of the photo. Rows may be written twice, and one of the two cut short: each row is read for
itself. Sources: peteanderson80/bottom-up-attention, tools/generate_tsv.py; airsplay/lxmert,
src/utils.py.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from miacap.data.given import packed
from miacap.data.given.rows import (
    BadFeatures,
    Beside,
    Found,
    Rows,
    from_base64,
    matrix,
    whole_number,
)
from miacap.wording import counted

TITLE = "bottom-up TSV"

_SIX = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_TEN = (
    "img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf", "num_boxes",
    "boxes", "features",
)  # fmt: skip
_LAYOUTS = {len(names): names for names in (_SIX, _TEN)}
_NAMES = {"img_id": "image_id", "img_w": "image_w", "img_h": "image_h"}
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_HEAD = 1000


def fits(path: Path) -> bool:
    """Whether a file's first row has these columns."""
    row = packed.head(path).partition(b"\n")[0].rstrip(b"\r")
    cells = row.split(b"\t")
    if _header(cells):
        return True
    # The last cell may go on behind what was looked at.
    names = _LAYOUTS.get(len(cells), ())
    sides = [cell for name, cell in zip(names, cells, strict=False) if name[-2:] in ("_w", "_h")]
    digits = bool(sides) and all(side.strip().isdigit() for side in sides)
    return digits and _BASE64.fullmatch(cells[-1][:_HEAD]) is not None


def found(path: Path, beside: Beside) -> Iterator[Found]:
    """Give the pictures of a file in the order of its rows."""
    columns: tuple[str, ...] = ()
    for where, row in packed.rows(path):
        cells = row.split(b"\t")
        if not columns:
            columns = _header(cells)
            if columns:
                continue
            columns = _LAYOUTS.get(len(cells), _SIX)
        id = cells[columns.index(_id(columns))] if len(cells) == len(columns) else cells[0]
        load = partial(_load, cells, columns, where)
        yield Found(id[:_HEAD].decode("utf-8", "replace").strip(), where, load)


def _header(cells: list[bytes]) -> tuple[str, ...]:
    """Give the columns' names where a row is a header, or nothing."""
    names = tuple(cell[:40].decode("ascii", "replace").strip() for cell in cells)
    known = {"num_boxes", "boxes", "features"}
    return names if known <= set(names) and {"image_id", "img_id"} & set(names) else ()


def _id(columns: tuple[str, ...]) -> str:
    return "image_id" if "image_id" in columns else "img_id"


def _load(cells: list[bytes], columns: tuple[str, ...], where: str) -> Rows:
    if len(cells) != len(columns):
        raise BadFeatures(
            f"{where}: {counted(len(cells), 'column')}, not {len(columns)}; the row is cut short, "
            "or another one"
        )
    row = {_NAMES.get(name, name): cell for name, cell in zip(columns, cells, strict=True)}
    count = whole_number(row["num_boxes"], where, "num_boxes")
    features = matrix(from_base64(row["features"], where, "features"), count, where, "features")
    boxes = matrix(from_base64(row["boxes"], where, "boxes"), count, where, "boxes", width=4)
    size = None
    if "image_w" in row and "image_h" in row:
        size = tuple(float(whole_number(row[n], where, n)) for n in ("image_w", "image_h"))
    return Rows(features, boxes, "pixels", size)  # type: ignore[arg-type]
