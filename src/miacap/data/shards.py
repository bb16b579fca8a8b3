"""One shard of a feature store: a safetensors file and its index.

`shard-00000.safetensors` holds one matrix `rows` (the rows of all its pictures, one picture
below the other) and, where there are any, `boxes`. `shard-00000.json` says who has how many
rows, what was set aside on the way, and the checksum. The index is written last: a shard
without one was never finished, and is written again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from miacap.data.manifest import FORMAT, check_format
from miacap.errors import DataError, RunError
from miacap.files import atomic, read_json, sha256, write_json

_INDEX = re.compile(r"shard-(\d{5,})\.json")


@dataclass(frozen=True)
class Index:
    """What a shard's index says.

    Attributes:
        path: of the index.
        rows: how many rows each picture has, in the order of the matrix.
        set_aside: picture -> reason.
        bytes: size of the safetensors file; 0 where the shard holds no picture.
        checksum: its SHA-256.
    """

    path: Path
    rows: dict[str, int]
    set_aside: dict[str, str]
    bytes: int
    checksum: str

    @property
    def data(self) -> Path:
        """The safetensors file beside the index."""
        return self.path.with_suffix(".safetensors")


def write_shard(
    folder: Path,
    number: int,
    rows: Mapping[str, Tensor],
    boxes: Mapping[str, Float[Tensor, "N 4"]],
    set_aside: Mapping[str, str],
) -> Index:
    """Write a shard, its index last; the same content gives the same bytes.

    Args:
        rows: matrices (k_i x width) by picture, all of one type.
        boxes: matrices (k_i x 4) by picture, or nothing at all.
    """
    path = folder / f"shard-{number:05d}.json"
    data = path.with_suffix(".safetensors")
    if rows:
        tensors = {"rows": torch.cat(list(rows.values()))}
        if boxes:
            tensors["boxes"] = torch.cat(list(boxes.values()))
        with atomic(data) as file:
            file.write(save(tensors))
    index = Index(
        path,
        {name: len(matrix) for name, matrix in rows.items()},
        dict(set_aside),
        data.stat().st_size if rows else 0,
        sha256(data) if rows else "",
    )
    write_json(
        path,
        {
            "format": FORMAT,
            "checksum": index.checksum,
            "bytes": index.bytes,
            "set_aside": index.set_aside,
            "rows": index.rows,
        },
    )
    return index


def read_indexes(folder: Path) -> list[Index]:
    """Read the indexes of all finished shards, in order.

    Raises:
        RunError: a damaged index, a newer format, or a shard file that is absent or cut short.
    """
    paths = [path for path in folder.iterdir() if _INDEX.fullmatch(path.name)]
    return [_read_index(path) for path in sorted(paths, key=lambda p: (len(p.name), p.name))]


def next_number(indexes: list[Index]) -> int:
    """Give the number of the shard that follows."""
    return 1 + max((int(index.path.stem[6:]) for index in indexes), default=-1)


def _read_index(path: Path) -> Index:
    try:
        value = read_json(path)
    except DataError as error:
        raise RunError(f"{error} {_REMEDY}") from None
    check_format(value, path)
    try:
        index = Index(
            path,
            _mapping(value["rows"], int),
            _mapping(value["set_aside"], str),
            value["bytes"],
            value["checksum"],
        )
    except (KeyError, TypeError, json.JSONDecodeError):
        raise RunError(f"{path}: not the index of a shard. {_REMEDY}") from None
    if not index.rows:
        return index
    size = index.data.stat().st_size if index.data.is_file() else None
    if size != index.bytes:
        found = "is absent" if size is None else f"has {size} bytes, not {index.bytes}"
        raise RunError(f"{index.data}: the shard {found}. {_REMEDY}")
    return index


_REMEDY = "Delete the shard and its index, and extract again: the other shards are kept."


def _mapping(value: Any, kind: type) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(type(item) is kind for item in value.values()):
        raise TypeError("not a mapping")
    if kind is int and not all(item > 0 for item in value.values()):
        raise TypeError("a picture without rows")
    return value


class Shard:
    """A finished shard, memory-mapped.

    Raises:
        RunError: its bytes are not those that were written.
    """

    def __init__(self, index: Index, width: int, dtype: torch.dtype, verify: bool = True) -> None:
        if verify and sha256(index.data) != index.checksum:
            raise RunError(
                f"{index.data}: the shard was altered after it was written (checksum). {_REMEDY}"
            )
        try:
            with safe_open(index.data, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise RunError(f"{index.data}: cannot be read ({error}). {_REMEDY}") from None
        self.rows: Tensor = tensors.get("rows", torch.empty(0))
        self.boxes: Tensor | None = tensors.get("boxes")
        expected = (sum(index.rows.values()), width)
        if tuple(self.rows.shape) != expected or self.rows.dtype != dtype:
            raise RunError(
                f"{index.data}: rows of shape {tuple(self.rows.shape)} and type "
                f"{self.rows.dtype}, not {expected} and {dtype}. {_REMEDY}"
            )
        if self.boxes is not None and tuple(self.boxes.shape) != (expected[0], 4):
            raise RunError(
                f"{index.data}: boxes of shape {tuple(self.boxes.shape)} for {expected[0]} rows. "
                f"{_REMEDY}"
            )
