"""How a photo becomes a backbone's input, exactly as its record says."""

import functools
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.data.features import Preprocessing
from miacap.visual.pixels import Pixels

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class View(NamedTuple):
    """A part of what the backbone sees of a photo, mirrored or not; the whole of it by default.

    Attributes:
        left, top: where the part begins, as shares of the sides, 0 to 1 - `side`.
        side: how long its sides are, as a share of the whole's; above 0, at most 1.
        mirrored: left and right change places.
    """

    left: float = 0.0
    top: float = 0.0
    side: float = 1.0
    mirrored: bool = False


WHOLE = View()


def prepare(
    image: Image.Image | Pixels, preprocessing: Preprocessing, view: View = WHOLE
) -> Float[Tensor, "3 H W"]:
    """Turn an upright RGB photo into the backbone's input.

    Args:
        image: what `decode` gave, mode RGB, any size; or `Pixels`, which take less memory.
        preprocessing: size, resize rule, filter, normalisation, order of channels.
        view: what is shown of it.

    Returns:
        (value / 255 - mean) / std; a view with channels first of what lies channels last.
    """
    # numpy, not torch: threads prepare photos, and each would start torch's own threads.
    image = _resize(image, preprocessing, view)
    width, height = image.size
    rows = np.array(image, dtype=np.float32).reshape(height, width * 3)
    # Over whole rows and in place: ten times as fast as over each pixel's three numbers.
    rows /= np.float32(255)
    rows -= _repeated(tuple(preprocessing.mean), width)
    rows /= _repeated(tuple(preprocessing.std), width)
    x = rows.reshape(height, width, 3)
    if preprocessing.colour == "BGR":
        x = x[..., ::-1].copy()
    return torch.from_numpy(x).permute(2, 0, 1)


@functools.lru_cache(maxsize=16)
def _repeated(numbers: tuple[float, float, float], width: int) -> np.ndarray:
    """Give a number a channel for a whole row of pixels."""
    return np.tile(np.array(numbers, dtype=np.float32), width)


def window(
    size: tuple[int, int], preprocessing: Preprocessing
) -> tuple[float, float, float, float]:
    """Say what the backbone sees of a photo of `size` (width, height): x0 y0 x1 y1 in pixels."""
    width, height = size
    if preprocessing.resize == "squash":
        return 0.0, 0.0, float(width), float(height)
    high, wide = preprocessing.sides
    across = min(float(width), height * wide / high)
    down = min(float(height), width * high / wide)
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def _resize(image: Image.Image | Pixels, preprocessing: Preprocessing, view: View) -> Image.Image:
    # The window need not begin at a whole pixel: one resampling cuts and scales.
    high, wide = preprocessing.sides
    seen = window(image.size, preprocessing)
    if view[:3] != WHOLE[:3]:
        seen = _part(seen, view)
    small = image.resize((wide, high), FILTERS[preprocessing.interpolation], seen)
    return small.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view.mirrored else small


def _part(seen: tuple[float, float, float, float], view: View) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = seen
    width, height = x1 - x0, y1 - y0
    left, top = x0 + view.left * width, y0 + view.top * height
    # Rounding must not lead a hair beyond the photo, which Pillow refuses.
    return left, top, min(x1, left + view.side * width), min(y1, top + view.side * height)
