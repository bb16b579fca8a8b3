"""RoI-align (He et al., 2017, section 3) of boxes on a map, in plain torch.

A box is cut into P x P bins, each bin is sampled at S x S points, and a bin's value is the mean of
the map at its points, interpolated between the four cells around each. On one axis, for a map of L
cells and a box from a to b (0 to 1), with the half-pixel convention (`aligned=True` elsewhere):

    p_is = a L - 1/2 + (i + (s + 1/2) / S) (b - a) L / P      a point of bin i     [eq:roi-points]
    w_ij = mean_s max(0, 1 - |min(max(p_is, 0), L - 1) - j|)  share of cell j      [eq:roi-shares]

Points, bins and interpolation are products over the two axes, so

    R_xy = sum_jk w^y_yj w^x_xk M_jk                          the aligned cells    [eq:roi-align]
    mean_xy R_xy = sum_jk (mean_y w^y_yj) (mean_x w^x_xk) M_jk                     [eq:roi-mean]

and the mean of a box's aligned cells is one row of shares times the rows of the map.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def roi_align(
    map: Float[Tensor, "V h w"], boxes: Float[Tensor, "N 4"], bins: int = 7, samples: int = 2
) -> Float[Tensor, "N V bins bins"]:
    """Give the aligned cells of each box. [eq:roi-align]

    Args:
        map: of one photo.
        boxes: x0 y0 x1 y1, relative to what the map covers, 0 to 1.
        bins: P, on each axis.
        samples: S, points of a bin on each axis.
    """
    across, down = _both(boxes, map.shape[1], map.shape[2], bins, samples)
    return torch.einsum("nyj,vjk,nxk->nvyx", down, map, across)


def shares(
    boxes: Float[Tensor, "N 4"], h: int, w: int, bins: int = 7, samples: int = 2
) -> Float[Tensor, "N cells"]:
    """Give each cell's share in the mean of a box's aligned cells, raster order. [eq:roi-mean]

    A box's shares sum to 1; shares times the rows of a map are the rows of the boxes.
    """
    across, down = _both(boxes, h, w, bins, samples)
    return (down.mean(1)[:, :, None] * across.mean(1)[:, None, :]).flatten(1)


def _both(
    boxes: Tensor, h: int, w: int, bins: int, samples: int
) -> tuple[Float[Tensor, "N P w"], Float[Tensor, "N P h"]]:
    return (
        _shares(boxes[:, 0], boxes[:, 2], w, bins, samples),
        _shares(boxes[:, 1], boxes[:, 3], h, bins, samples),
    )


def _shares(
    low: Float[Tensor, " N"], high: Float[Tensor, " N"], length: int, bins: int, samples: int
) -> Float[Tensor, "N P L"]:
    """Give each cell's share in each bin, on one axis. [eq:roi-points, eq:roi-shares]"""
    steps = (torch.arange(bins * samples, dtype=low.dtype) + 0.5) / (bins * samples)
    points = low[:, None] * length - 0.5 + steps * ((high - low) * length)[:, None]
    points = points.clamp(0, length - 1).view(len(low), bins, samples, 1)
    cells = torch.arange(length, dtype=low.dtype)
    return (1 - (points - cells).abs()).clamp(min=0).mean(2)
