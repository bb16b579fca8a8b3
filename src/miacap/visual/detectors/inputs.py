"""How a photo becomes a detector's input, and where in the photo a box of the input lies."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.data.detectors import DetectorInput
from miacap.visual.pixels import Pixels
from miacap.visual.preprocessing import FILTERS


class Seen(NamedTuple):
    """A photo as a detector sees it.

    Attributes:
        pixels: height x width x 3, uint8, the channels in the detector's order.
        window: x0 y0 x1 y1 of the photo within them; squashed, it fills them.
    """

    pixels: np.ndarray
    window: tuple[int, int, int, int]


def see(image: Image.Image | Pixels, how: DetectorInput) -> Seen:
    """Scale an upright RGB photo (from `decode`, or its `Pixels`) to a detector's input."""
    window = _window(image.size, how)
    x0, y0, x1, y1 = window
    whole = (0.0, 0.0, float(image.size[0]), float(image.size[1]))
    scaled = np.asarray(image.resize((x1 - x0, y1 - y0), FILTERS[how.interpolation], whole))
    if how.colour == "BGR":
        scaled = scaled[..., ::-1]
    if scaled.shape[:2] == (how.height, how.width):
        return Seen(np.ascontiguousarray(scaled), window)
    pixels = np.full((how.height, how.width, 3), how.padding, dtype=np.uint8)
    pixels[y0:y1, x0:x1] = scaled
    return Seen(pixels, window)


def normalised(pixels: np.ndarray, how: DetectorInput) -> np.ndarray:
    """Give (value - mean) / std of uint8 pixels, 3 x height x width, float32."""
    mean, std = (np.array(values, dtype=np.float32) for values in (how.mean, how.std))
    return np.ascontiguousarray(((pixels.astype(np.float32) - mean) / std).transpose(2, 0, 1))


def relative(boxes: Float[Tensor, "N 4"], seen: Seen) -> Float[Tensor, "N 4"]:
    """Turn boxes in pixels of the input into boxes relative to the photo, cut at its edges."""
    x0, y0, x1, y1 = seen.window
    origin, sides = torch.tensor([x0, y0] * 2), torch.tensor([x1 - x0, y1 - y0] * 2)
    return ((boxes - origin) / sides).clamp(0, 1)


def _window(size: tuple[int, int], how: DetectorInput) -> tuple[int, int, int, int]:
    if how.resize == "squash":
        return 0, 0, how.width, how.height
    width, height = size
    # Whole numbers: width x scale, rounded down, without what a quotient would lose.
    if how.width * height <= how.height * width:
        inner = how.width, max(1, height * how.width // width)
    else:
        inner = max(1, width * how.height // height), how.height
    left, top = 0, 0
    if how.place == "centre":
        left, top = (how.width - inner[0]) // 2, (how.height - inner[1]) // 2
    return left, top, left + inner[0], top + inner[1]
