"""What was found in a photo, and the bytes in which one process sends it to another."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float
from safetensors.torch import load, save
from torch import Tensor

from miacap.visual.reading import Ready

__all__ = ["Found", "packed", "unpacked"]


@dataclass(frozen=True)
class Found:
    """A photo that was looked at.

    Attributes:
        photo: without its picture; says why there are no regions.
        regions: rows (of class scores, one without an axis of its own) and boxes; None where the
            photo could not be read.
        digest: SHA-256 of its file, where it could be read.
    """

    photo: Ready
    regions: tuple[Float[Tensor, "*rows V"], Float[Tensor, "N 4"] | None] | None
    digest: str | None


def packed(batch: Sequence[Found], dtype: torch.dtype) -> bytes:
    """Give what was found in some photos as bytes, rows in the type that a store keeps."""
    tensors: dict[str, Tensor] = {}
    for index, found in enumerate(batch):
        for name, value in zip(("rows", "boxes"), found.regions or (), strict=False):
            if value is not None:
                # A copy: the cells of all photos have the same boxes, which may not share memory.
                kind = dtype if name == "rows" else value.dtype
                tensors[f"{index}.{name}"] = torch.empty(value.shape, dtype=kind).copy_(value)
    told = [[asdict(replace(found.photo, picture=None)), found.digest] for found in batch]
    head = json.dumps(told).encode()
    return len(head).to_bytes(8, "big") + head + save(tensors)


def unpacked(data: bytes) -> list[Found]:
    """Do the opposite of `packed`."""
    end = 8 + int.from_bytes(data[:8], "big")
    tensors = load(data[end:])
    batch = []
    for index, (photo, digest) in enumerate(json.loads(data[8:end])):
        rows = tensors.get(f"{index}.rows")
        regions = None if rows is None else (rows, tensors.get(f"{index}.boxes"))
        ready = Ready(**{**photo, "size": tuple(photo["size"])})
        batch.append(Found(ready, regions, digest))
    return batch
