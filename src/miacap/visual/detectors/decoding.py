"""From a detector's outputs to boxes in pixels of its input and a score for each class.

What each kind of outputs means stands in `data.detectors`, with its equations.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from miacap.data.detectors import (
    BoxOutputs,
    Description,
    DetectorInput,
    GflOutputs,
    TableOutput,
    YoloxOutputs,
)
from miacap.errors import RunError


class Candidates(NamedTuple):
    """All that a detector says of a photo.

    Attributes:
        boxes: x0 y0 x1 y1 in pixels of the input.
        scores: probability of each class, for each box.
    """

    boxes: Float[Tensor, "N 4"]
    scores: Float[Tensor, "N C"]


def decode(found: Sequence[Tensor], description: Description) -> Candidates:
    """Turn the outputs that a description names into boxes and scores.

    Args:
        found: the arrays of `description.outputs.names`, in this order.
        description: of the detector.

    Raises:
        RunError: arrays of other shapes than described, or numbers that are not finite.
    """
    outputs = description.outputs
    arrays = [one.float() for one in found]
    candidates = _DECODERS[type(outputs)](arrays, outputs, description)
    for values in candidates:
        if not bool(values.isfinite().all()):
            raise RunError(f"{description.name}: its outputs hold numbers that are not finite.")
    return candidates


def _yolox(found: Sequence[Tensor], outputs: YoloxOutputs, description: Description) -> Candidates:
    x = _unbatched(found[0])
    centres, strides = _cells(outputs.strides, description.input, offset=0.0)
    _require(x, (len(centres), 5 + len(description.classes)), outputs.output, description)
    middle = x[:, :2] * strides + centres
    # e^16 strides are far outside every photo, and still a number.
    half = x[:, 2:4].clamp(max=16).exp() * strides / 2
    return Candidates(torch.cat([middle - half, middle + half], 1), x[:, 4:5] * x[:, 5:])


def _gfl(found: Sequence[Tensor], outputs: GflOutputs, description: Description) -> Candidates:
    levels = len(outputs.strides)
    scores, boxes = [], []
    for index, stride in enumerate(outputs.strides):
        centres, _ = _cells((stride,), description.input, offset=0.5)
        level, sides = _unbatched(found[index]), _unbatched(found[levels + index])
        _require(
            level, (len(centres), len(description.classes)), outputs.scores[index], description
        )
        bins = sides.shape[-1] // 4 if sides.ndim == 2 else 0
        _require(sides, (len(centres), 4 * max(bins, 1)), outputs.boxes[index], description)
        shares = sides.view(-1, 4, bins).softmax(2)
        distances = (shares @ torch.arange(bins, dtype=torch.float32)) * stride
        scores.append(level)
        boxes.append(torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], 1))
    return Candidates(torch.cat(boxes), _probabilities(torch.cat(scores), outputs.activation))


def _boxes(found: Sequence[Tensor], outputs: BoxOutputs, description: Description) -> Candidates:
    boxes = _unbatched(found[0])
    _require(boxes, (len(boxes), 4), outputs.boxes, description)
    corners = _corners(boxes, outputs.corners, outputs.unit, description.input)
    classes = len(description.classes)
    columns = classes + (outputs.background != "none")
    if outputs.labels is None:
        scores = _unbatched(found[1])
        _require(scores, (len(boxes), columns), outputs.scores, description)
        scores = _probabilities(scores, outputs.activation)
    else:
        scores = _spread(found[1], found[2], columns, len(boxes), outputs, description)
    start = int(outputs.background == "first")
    return Candidates(corners, scores[:, start : start + classes])


def _table(found: Sequence[Tensor], outputs: TableOutput, description: Description) -> Candidates:
    x = _unbatched(found[0])
    if outputs.layout == "columns" and x.ndim == 2:
        x = x.T
    first = 4 + outputs.objectness
    _require(x, (len(x), first + len(description.classes)), outputs.output, description)
    corners = _corners(x[:, :4], outputs.corners, outputs.unit, description.input)
    scores = _probabilities(x[:, first:], outputs.activation)
    if outputs.objectness:
        scores = scores * _probabilities(x[:, 4:5], outputs.activation)
    return Candidates(corners, scores)


_DECODERS: Mapping[type, Callable[[Sequence[Tensor], Any, Description], Candidates]] = {
    YoloxOutputs: _yolox,
    GflOutputs: _gfl,
    BoxOutputs: _boxes,
    TableOutput: _table,
}


def _cells(
    strides: Sequence[int], how: DetectorInput, offset: float
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 1"]]:
    """Give a point in each cell, row by row, in pixels, and the cell's stride."""
    centres, sizes = [], []
    for stride in strides:
        y = torch.arange(-(-how.height // stride), dtype=torch.float32)
        x = torch.arange(-(-how.width // stride), dtype=torch.float32)
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        points = (torch.stack((columns, rows), -1).reshape(-1, 2) + offset) * stride
        centres.append(points)
        sizes.append(torch.full((len(points), 1), float(stride)))
    return torch.cat(centres), torch.cat(sizes)


def _corners(boxes: Tensor, corners: str, unit: str, how: DetectorInput) -> Float[Tensor, "N 4"]:
    if unit == "relative":
        boxes = boxes * torch.tensor([how.width, how.height] * 2)
    if corners == "cxcywh":
        half = boxes[:, 2:] / 2
        boxes = torch.cat([boxes[:, :2] - half, boxes[:, :2] + half], 1)
    return boxes


def _spread(
    scores: Tensor, labels: Tensor, columns: int, boxes: int,
    outputs: BoxOutputs, description: Description,
) -> Float[Tensor, "N C"]:  # fmt: skip
    """Make columns of one score and one class number a box."""
    scores = _probabilities(scores.reshape(-1), outputs.activation)
    numbers = labels.reshape(-1).long()
    _require(scores, (boxes,), outputs.scores, description)
    _require(numbers, (boxes,), str(outputs.labels), description)
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < columns:
        raise RunError(
            f"{description.name}: finds class {int(numbers.max())} (or one below 0), and the "
            f"description numbers them 0 to {columns - 1}; complete its classes."
        )
    return torch.zeros(boxes, columns).scatter(1, numbers[:, None], scores[:, None])


def _probabilities(scores: Tensor, activation: str) -> Tensor:
    if activation == "sigmoid":
        return scores.sigmoid()
    return scores.softmax(-1) if activation == "softmax" else scores


def _unbatched(array: Tensor) -> Tensor:
    return array[0] if array.ndim == 3 and len(array) == 1 else array


def _require(array: Tensor, shape: tuple[int, ...], name: str, description: Description) -> None:
    if tuple(array.shape) != shape:
        raise RunError(
            f"{description.name}: output {name!r} has shape {tuple(array.shape)}, and the "
            f"description makes it {shape}; correct its strides, classes or kind of outputs."
        )
