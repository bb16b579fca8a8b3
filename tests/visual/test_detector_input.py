"""A photo as a detector sees it, against plain loops; and where its boxes lie in the photo."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from miacap.data.detectors import DetectorInput
from miacap.visual.detectors.inputs import Seen, normalised, relative, see

MEAN, STD = (103.5, 116.25, 123.75), (57.0, 57.5, 58.5)


def scaled(values: np.ndarray, size: int) -> np.ndarray:
    """Scale rows to `size`: antialiased bilinear, weights of 22 bits, rounded to 8 bits."""
    length = len(values)
    scale = length / size
    reach = max(scale, 1.0)
    out = np.full((size, *values.shape[1:]), 1 << 21, dtype=np.int64)
    for i in range(size):
        centre = (i + 0.5) * scale
        low, high = max(0, int(centre - reach + 0.5)), min(length, int(centre + reach + 0.5))
        weights = [max(0.0, 1 - abs((j + 0.5 - centre) / reach)) for j in range(low, high)]
        for j, weight in zip(range(low, high), weights, strict=True):
            out[i] += int(0.5 + weight / sum(weights) * (1 << 22)) * values[j].astype(np.int64)
    return (out >> 22).clip(0, 255)


def looped(photo: np.ndarray, how: DetectorInput, rows_first: bool) -> np.ndarray:
    """The input by the equations: scale, paste, normalise, channels first.

    Each pass rounds to 8 bits; which is the first, rows or columns, Pillow decides.
    """
    height, width, _ = photo.shape
    size = how.width, how.height
    left = top = 0
    if how.resize == "letterbox":
        ratio = min(how.width / width, how.height / height)
        size = math.floor(width * ratio + 1e-9), math.floor(height * ratio + 1e-9)
        if how.place == "centre":
            left, top = (how.width - size[0]) // 2, (how.height - size[1]) // 2
    if rows_first:
        small = scaled(scaled(photo.transpose(1, 0, 2), size[0]).transpose(1, 0, 2), size[1])
    else:
        small = scaled(scaled(photo, size[1]).transpose(1, 0, 2), size[0]).transpose(1, 0, 2)
    out = np.zeros((3, how.height, how.width))
    for c in range(3):
        channel = 2 - c if how.colour == "BGR" else c
        for y in range(how.height):
            for x in range(how.width):
                inside = top <= y < top + size[1] and left <= x < left + size[0]
                value = small[y - top, x - left, channel] if inside else how.padding
                out[c, y, x] = (value - how.mean[c]) / how.std[c]
    return out


@pytest.mark.parametrize(
    "how",
    [
        DetectorInput(40, 32, "squash", colour="RGB", mean=MEAN, std=STD),
        DetectorInput(40, 48, "letterbox", colour="BGR", padding=114),
        DetectorInput(48, 32, "letterbox", "centre", colour="BGR", padding=7, mean=MEAN, std=STD),
    ],
    ids=["squash", "letterbox", "centre"],
)
@pytest.mark.parametrize("size", [(50, 37), (20, 61)])
def test_the_input_equals_plain_loops(how: DetectorInput, size: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    seen = see(Image.fromarray(values), how)
    assert seen.pixels.shape == (how.height, how.width, 3) and seen.pixels.dtype == np.uint8
    found = normalised(seen.pixels, how)
    assert found.dtype == np.float32
    ways = [looped(values, how, rows_first) for rows_first in (True, False)]
    assert any(np.allclose(found, wanted, rtol=1e-5, atol=1e-5) for wanted in ways)


def test_a_letterboxed_photo_is_whole_and_its_boxes_come_back() -> None:
    how = DetectorInput(416, 416, "letterbox", "centre")
    seen = see(Image.new("RGB", (500, 375)), how)
    assert seen.window == (0, 52, 416, 364)
    boxes = torch.tensor([[0.0, 52.0, 416.0, 364.0], [104.0, 130.0, 208.0, 1000.0]])
    wanted = torch.tensor([[0, 0, 1, 1], [0.25, 0.25, 0.5, 1]])
    torch.testing.assert_close(relative(boxes, seen), wanted)


def test_a_thin_photo_keeps_a_pixel() -> None:
    seen = see(Image.new("RGB", (4000, 2)), DetectorInput(64, 64, "letterbox"))
    assert seen.window == (0, 0, 64, 1)
    assert isinstance(seen, Seen) and (seen.pixels[1:] == 114).all()
