"""One shard of a feature store: a safetensors file and its index.

`shard-00000.safetensors` holds one matrix `rows` (the rows of all its pictures, one picture
below the other) and, where there are any, `boxes`. `shard-00000.json` says who has how many
rows, what was set aside on the way, the checksums of the photos, and that of the shard. The
index is written last: a shard without one was never finished, and is written again.

What a stopped writer had in hand lies in `unfinished-00003-0.*`, the first pictures of shard 3;
it counts until that shard is there. A writer that is stopped again leaves `unfinished-00003-1.*`
and then removes the other: the one with the highest number counts.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from miacap.data.manifest import FORMAT, check_format
from miacap.data.sealed import read_sealed, write_sealed
from miacap.errors import DataError, RunError
from miacap.files import atomic
from miacap.wording import counted

_FINISHED = re.compile(r"shard-(\d{5,})\.json")
_UNFINISHED = re.compile(r"unfinished-(\d{5,})-(\d+)\.json")
_KEYS = {"format", "checksum", "bytes", "set_aside", "rows", "photos", "again"}

REMEDY = "Delete the shard and its index, and extract again: the other shards are kept."


@dataclass(frozen=True)
class Picture:
    """What a store keeps of one picture: rows, or the reason why it has none.

    Attributes:
        rows: k x width.
        boxes: k x 4, for all pictures of a store or for none.
        reason: why there are no rows; None where there are.
        photo: SHA-256 of its photo, where it is known.
        again: an earlier shard has the picture as well; this one counts.
    """

    rows: Tensor | None
    boxes: Float[Tensor, "N 4"] | None = None
    reason: str | None = None
    photo: str | None = None
    again: bool = False


@dataclass(frozen=True)
class Index:
    """What a shard's index says.

    Attributes:
        path: of the index.
        rows: how many rows each picture has, in the order of the matrix.
        set_aside: picture -> reason.
        bytes: size of the safetensors file; 0 where the shard holds no picture.
        checksum: its SHA-256.
        photos: picture -> SHA-256 of its photo, where it is known.
        again: pictures that replace those of an earlier shard.
    """

    path: Path
    rows: dict[str, int]
    set_aside: dict[str, str]
    bytes: int
    checksum: str
    photos: dict[str, str]
    again: tuple[str, ...]

    @property
    def data(self) -> Path:
        """The safetensors file beside the index."""
        return self.path.with_suffix(".safetensors")

    @property
    def number(self) -> int:
        """Number of the shard, from 0."""
        return int(self.path.stem.split("-")[1])

    @property
    def finished(self) -> bool:
        """Whether the shard is whole; one that is not is what a stopped writer had in hand."""
        return _FINISHED.fullmatch(self.path.name) is not None


def finished_path(folder: Path, number: int) -> Path:
    """Give the index of a finished shard."""
    return folder / f"shard-{number:05d}.json"


def unfinished_path(folder: Path, number: int) -> Path:
    """Give the next free index of an unfinished shard."""
    before = [int(m[2]) for m in map(_UNFINISHED.fullmatch, _names(folder)) if m]
    return folder / f"unfinished-{number:05d}-{1 + max(before, default=-1)}.json"


def write_shard(path: Path, pictures: Mapping[str, Picture]) -> None:
    """Write a shard, its index last; the same content gives the same bytes.

    Args:
        path: of the index.
        pictures: what it holds, by name.

    Raises:
        RunError: a link is in the way; nothing is written through it.
    """
    data = path.with_suffix(".safetensors")
    for target in (path, data):
        if target.is_symlink():
            raise RunError(f"{target}: is a link, and a store is written into files of its own.")
    rows = {name: p.rows for name, p in pictures.items() if p.rows is not None}
    boxes = [p.boxes for p in pictures.values() if p.boxes is not None]
    content = b""
    if rows:
        tensors = {"rows": torch.cat(list(rows.values()))}
        if boxes:
            tensors["boxes"] = torch.cat(boxes)
        content = save(tensors)
        with atomic(data) as file:
            file.write(content)
    else:
        data.unlink(missing_ok=True)  # of a writer that was killed before its index
    aside = {name: p.reason for name, p in pictures.items() if p.reason is not None}
    # In the order that a writer who goes on finds: pictures with rows, then those without.
    every = {name: pictures[name] for name in (*rows, *aside)}
    photos = {name: p.photo for name, p in every.items() if p.photo is not None}
    again = [name for name, p in every.items() if p.again]
    index: dict[str, Any] = {
        "format": FORMAT,
        # Of what was to be written, not of what is read back: the same, without reading it.
        "checksum": hashlib.sha256(content).hexdigest() if rows else "",
        "bytes": len(content),
        "set_aside": aside,
        "rows": {name: len(matrix) for name, matrix in rows.items()},
    }
    if photos:
        index["photos"] = photos
    if again:
        index["again"] = again
    write_sealed(path, index)


def read_indexes(folder: Path) -> list[Index]:
    """Read the indexes of all finished shards in order, then that of the unfinished one.

    Raises:
        RunError: a damaged index, a newer format, or a shard file that is absent or cut short.
    """
    names = _names(folder)
    finished = sorted((int(m[1]), m[0]) for m in map(_FINISHED.fullmatch, names) if m)
    following = finished[-1][0] + 1 if finished else 0
    rest = [(int(m[2]), m[0]) for m in map(_UNFINISHED.fullmatch, names) if m]
    rest = [(count, name) for count, name in rest if int(name.split("-")[1]) == following]
    chosen = [name for _, name in finished] + [name for _, name in sorted(rest)[-1:]]
    return [_read_index(folder / name) for name in chosen]


def remove_unfinished(folder: Path, keep: Path | None = None) -> None:
    """Remove what stopped writers had in hand; `keep` is the index of a part that stays."""
    for name in _names(folder):
        path = folder / name
        ours = _UNFINISHED.fullmatch(path.with_suffix(".json").name)
        if ours and (keep is None or path.stem != keep.stem):
            path.unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    """What lies in a folder, an index before its matrices: so it is removed first."""
    return sorted(path.name for path in folder.iterdir())


def _read_index(path: Path) -> Index:
    try:
        value = read_sealed(path)
        check_format(value, path)
        index = Index(
            path,
            _mapping(value["rows"], int),
            _mapping(value["set_aside"], str),
            value["bytes"],
            value["checksum"],
            _mapping(value.get("photos", {}), str),
            tuple(value.get("again", ())),
        )
        _require_whole(index, value)
    except DataError as error:
        raise RunError(f"{error} {REMEDY}") from None
    except (KeyError, TypeError):
        raise RunError(f"{path}: not the index of a shard. {REMEDY}") from None
    return index


def _require_whole(index: Index, value: dict[str, Any]) -> None:
    """Refuse an index that contradicts itself (TypeError) or its shard (RunError)."""
    here = index.rows.keys() | index.set_aside.keys()
    others = (value.keys() - _KEYS) | (index.photos.keys() - here) | (set(index.again) - here)
    if others or index.rows.keys() & index.set_aside.keys():
        raise TypeError("unknown keys or pictures")
    if type(index.bytes) is not int or not isinstance(index.checksum, str):
        raise TypeError("no size or checksum")
    size = index.data.stat().st_size if index.data.is_file() else None
    if not index.rows and size is not None:
        raise RunError(
            f"{index.path}: names no picture, but {index.data.name} beside it holds "
            f"{counted(size, 'byte')}. "
            f"{REMEDY}"
        )
    if index.rows and size != index.bytes:
        state = "is absent" if size is None else f"has {counted(size, 'byte')}, not {index.bytes}"
        raise RunError(f"{index.data}: the shard {state}. {REMEDY}")


def _mapping(value: Any, kind: type) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(type(item) is kind for item in value.values()):
        raise TypeError("not a mapping")
    if kind is int and not all(item > 0 for item in value.values()):
        raise TypeError("a picture without rows")
    return value
