"""The best pairs of box and class, without doubles: non-maximum suppression in plain torch.

    kept_i = no j before i of the same class with kept_j and IoU(i, j) > limit       [greedy]

Pairs come by falling score, so j < i. The recurrence has exactly one solution; iterated over all
pairs of a class at once from "all are kept" it arrives there in as many rounds as the longest
chain has.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def best_pairs(scores: Float[Tensor, "N C"], count: int) -> Int[Tensor, " K"]:
    """Give the places of the best scores above 0 in the flattened matrix, best first.

    Ties go by place, so that the order is the same everywhere.
    """
    flat = scores.flatten()
    above = int((flat > 0).sum())
    if above == 0:
        return torch.zeros(0, dtype=torch.long)
    least = flat.topk(min(count, above), sorted=False).values.min()
    places = (flat >= least).nonzero().squeeze(1)
    order = flat[places].sort(descending=True, stable=True).indices
    return places[order][:count]


def suppress(
    boxes: Float[Tensor, "N 4"], classes: Int[Tensor, " N"], limit: float
) -> Bool[Tensor, " N"]:
    """Say which boxes stay. [greedy]

    Args:
        boxes: x0 y0 x1 y1, by falling score.
        classes: boxes of two classes leave each other alone.
        limit: of the intersection over union; above it, the later box goes.
    """
    kept = torch.ones(len(boxes), dtype=torch.bool)
    for number in sorted(set(classes.tolist())):
        members = (classes == number).nonzero().squeeze(1)
        if len(members) > 1:
            kept[members] = _of_one_class(boxes[members], limit)
    return kept


def _of_one_class(boxes: Float[Tensor, "N 4"], limit: float) -> Bool[Tensor, " N"]:
    rivals = (iou(boxes) > limit).triu(diagonal=1).float()
    kept = torch.ones(len(boxes), dtype=torch.bool)
    while True:
        stays = kept.float() @ rivals == 0
        if torch.equal(kept, stays):
            return kept
        kept = stays


def iou(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N N"]:
    """Give the intersection over union of every two boxes; 0 where neither has an area."""
    x0, y0, x1, y1 = boxes.unbind(1)
    areas = (x1 - x0).clamp(min=0) * (y1 - y0).clamp(min=0)
    inner = _common(x0, x1) * _common(y0, y1)
    union = areas[:, None] + areas - inner
    return inner / union.clamp(min=torch.finfo(torch.float32).tiny)


def _common(low: Float[Tensor, " N"], high: Float[Tensor, " N"]) -> Float[Tensor, "N N"]:
    """Give the length that every two spans on an axis have in common."""
    length = torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)
    return length.clamp(min=0)
