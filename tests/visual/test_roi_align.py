"""RoI-align against plain loops from the paper's description, and its mean against its cells."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from miacap.visual.roi_align import roi_align, shares


def interpolated(map: Tensor, y: float, x: float) -> Tensor:
    """Bilinear interpolation between the four cells around a point, cut at the map's edge."""
    _, h, w = map.shape
    y, x = min(max(y, 0.0), h - 1), min(max(x, 0.0), w - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
    dy, dx = y - top, x - left
    return (
        map[:, top, left] * (1 - dy) * (1 - dx) + map[:, top, right] * (1 - dy) * dx
        + map[:, bottom, left] * dy * (1 - dx) + map[:, bottom, right] * dy * dx
    )  # fmt: skip


def looped(map: Tensor, boxes: Tensor, bins: int, samples: int) -> Tensor:
    """RoI-align with the half-pixel convention, point by point."""
    _, h, w = map.shape
    out = torch.zeros(len(boxes), len(map), bins, bins, dtype=map.dtype)
    for n, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        left, top = x0 * w - 0.5, y0 * h - 0.5
        width, height = (x1 - x0) * w / bins, (y1 - y0) * h / bins
        for i in range(bins):
            for j in range(bins):
                for a in range(samples):
                    for b in range(samples):
                        y = top + (i + (a + 0.5) / samples) * height
                        x = left + (j + (b + 0.5) / samples) * width
                        out[n, :, i, j] += interpolated(map, y, x) / samples**2
    return out


sides = st.floats(0, 1).map(lambda side: round(side, 3))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3),
    st.lists(st.tuples(sides, sides, sides, sides), min_size=1, max_size=3), st.integers(0, 999),
)  # fmt: skip
def test_the_aligned_cells_equal_plain_loops(h, w, bins, samples, corners, seed) -> None:
    map = torch.rand(2, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x0, y0, x1, y1 = torch.tensor(corners, dtype=torch.float64).T
    boxes = torch.stack([x0.minimum(x1), y0.minimum(y1), x0.maximum(x1), y0.maximum(y1)], 1)
    wanted = looped(map, boxes, bins, samples)
    torch.testing.assert_close(roi_align(map, boxes, bins, samples), wanted)
    rows = shares(boxes, h, w, bins, samples) @ map.flatten(1).T
    torch.testing.assert_close(rows, wanted.mean((2, 3)))


def test_a_known_value() -> None:
    # On a ramp the mean is the ramp at the box's centre: cell x holds x, so centre 0.6 x 5 - 0.5.
    ramp = torch.arange(5.0).expand(1, 5, 5)
    inside = torch.tensor([[0.4, 0.2, 0.8, 0.8]])
    assert float((shares(inside, 5, 5) @ ramp.flatten(1).T)[0, 0]) == pytest.approx(2.5)


def test_the_whole_photo_is_the_mean_of_all_cells() -> None:
    torch.testing.assert_close(
        shares(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), 7, 7), torch.full((1, 49), 1 / 49)
    )


def test_shares_sum_to_one_however_small_the_box() -> None:
    boxes = torch.tensor([[0.3, 0.3, 0.3, 0.3], [0.999, 0, 1, 0.001], [0, 0, 1e-6, 1]])
    torch.testing.assert_close(shares(boxes, 7, 7).sum(1), torch.ones(3))
