"""What a detector's file of weights does not say: its input, its outputs, its classes.

A description is a JSON file beside the detector, `FILE.json` beside `FILE.onnx`, so that another
detector is another file and no code. docs/backbones.md explains every field.
"""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from miacap.errors import DataError, SettingsError
from miacap.files import read_json
from miacap.settings import check_pixels, from_json

FORMAT = 1
_MOST_CLASSES = 20_000
_LARGEST_STRIDE = 1024

Triple: TypeAlias = tuple[float, float, float]
Activation: TypeAlias = Literal["none", "sigmoid", "softmax"]
Corners: TypeAlias = Literal["xyxy", "cxcywh"]
Unit: TypeAlias = Literal["pixels", "relative"]


@dataclass(frozen=True)
class DetectorInput:
    """How a photo becomes the detector's input: (value - mean) / std for values of 0 to 255.

    Attributes:
        width, height: of the input, in pixels.
        resize: "squash" scales each side alone; "letterbox" scales both alike, so that the photo
            fits, and fills what is left.
        place: where a letterboxed photo lies.
        padding: value of the pixels that fill what is left, 0 to 255.
        interpolation: Pillow's filter, antialiased, on 8-bit values.
        colour: order of the channels; `mean` and `std` stand in this order.
        mean, std: per channel, for values of 0 to 255.

    Raises:
        SettingsError: a number out of range.
    """

    width: int
    height: int
    resize: Literal["squash", "letterbox"] = "squash"
    place: Literal["top-left", "centre"] = "top-left"
    padding: int = 114
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        check_pixels(**{"input: width": self.width, "input: height": self.height})
        if not 0 <= self.padding <= 255:
            raise SettingsError(f"input: padding is 0 to 255, not {self.padding}.")
        if not all(math.isfinite(m) for m in self.mean):
            raise SettingsError(f"input: mean has to be finite, not {self.mean}.")
        if not all(math.isfinite(s) and s > 0 for s in self.std):
            raise SettingsError(f"input: std has to be above 0, not {self.std}.")


@dataclass(frozen=True)
class YoloxOutputs:
    """One output; a row for each cell of each stride: x y w h, objectness, a score for each class.

    centre = (xy + cell) stride, size = exp(wh) stride, score = objectness x class.

    Attributes:
        output: its name in the file.
        strides: pixels between two cells, in the order of the rows.
    """

    kind: Literal["yolox"] = field(default="yolox", kw_only=True)
    output: str
    strides: tuple[int, ...] = (8, 16, 32)

    def __post_init__(self) -> None:
        _check_strides(self.strides)

    @property
    def names(self) -> tuple[str, ...]:
        """Outputs that are read."""
        return (self.output,)


@dataclass(frozen=True)
class GflOutputs:
    """For each stride a map of class scores and one of box sides, each side a distribution.

    distance = stride x sum_i i softmax(bins)_i from the cell's centre to left, top, right, bottom
    (Generalized Focal Loss, PicoDet, NanoDet).

    Attributes:
        scores: names of the outputs of scores, one a stride: cells x classes.
        boxes: names of the outputs of boxes, one a stride: cells x 4 n for n bins.
        strides: pixels between two cells.
        activation: what makes probabilities of the scores: "none" where they are some.
    """

    kind: Literal["gfl"] = field(default="gfl", kw_only=True)
    scores: tuple[str, ...]
    boxes: tuple[str, ...]
    strides: tuple[int, ...]
    activation: Literal["none", "sigmoid"] = "none"

    def __post_init__(self) -> None:
        _check_strides(self.strides)
        if not len(self.scores) == len(self.boxes) == len(self.strides):
            raise SettingsError(
                f"outputs: {len(self.scores)} scores, {len(self.boxes)} boxes and "
                f"{len(self.strides)} strides; there is one of each for a stride."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Outputs that are read."""
        return (*self.scores, *self.boxes)


@dataclass(frozen=True)
class BoxOutputs:
    """Boxes as they are: an output of boxes and one of scores (torchvision, DETR and others).

    Attributes:
        boxes: name of the output of boxes, N x 4.
        scores: of the scores: N, with `labels`; N x classes, without.
        labels: of the class numbers, N; None where the scores have a column for each class.
        corners: what the four numbers of a box are.
        unit: "pixels" of the input, or "relative" to its sides.
        activation: what makes probabilities of the scores: "none" where they are some.
        background: the column (or number) that stands for no object: "none", "first" or "last".
    """

    kind: Literal["boxes"] = field(default="boxes", kw_only=True)
    boxes: str
    scores: str
    labels: str | None = None
    corners: Corners = "xyxy"
    unit: Unit = "pixels"
    activation: Activation = "none"
    background: Literal["none", "first", "last"] = "none"

    def __post_init__(self) -> None:
        if self.labels is not None and self.activation == "softmax":
            raise SettingsError("outputs: softmax goes over classes, and labels name one class.")

    @property
    def names(self) -> tuple[str, ...]:
        """Outputs that are read."""
        named = (self.boxes, self.scores, self.labels)
        return tuple(name for name in named if name is not None)


@dataclass(frozen=True)
class TableOutput:
    """One output that holds everything: a box, perhaps its objectness, a score for each class.

    Attributes:
        output: its name in the file.
        layout: "rows": a row for each box (YOLOv5); "columns": a column (YOLOv8 and later).
        objectness: whether a fifth number, to be multiplied with the scores, follows the box.
        corners, unit, activation: see `BoxOutputs`.
    """

    kind: Literal["table"] = field(default="table", kw_only=True)
    output: str
    layout: Literal["rows", "columns"] = "rows"
    objectness: bool = False
    corners: Corners = "cxcywh"
    unit: Unit = "pixels"
    activation: Literal["none", "sigmoid"] = "none"

    @property
    def names(self) -> tuple[str, ...]:
        """Outputs that are read."""
        return (self.output,)


Outputs: TypeAlias = YoloxOutputs | GflOutputs | BoxOutputs | TableOutput
"""How outputs become boxes; `kind` says which of the four it is."""


@dataclass(frozen=True)
class Description:
    """All that decides which boxes a detector's file finds in a photo.

    Attributes:
        name: what the detector is called, in messages and records.
        input: how a photo becomes its input.
        outputs: how its outputs become boxes.
        classes: their names, in the order of the outputs.
        iou: of two boxes of one class that overlap more (intersection over union), the better
            one stays; None where the outputs have no doubles.
        candidates: how many pairs of box and class, the best, are looked at.
        sha256: of the file that this describes; None fits any file.
        format: of this description.

    Raises:
        SettingsError: no name, no classes, or a number out of range.
    """

    name: str
    input: DetectorInput
    outputs: Outputs
    classes: tuple[str, ...]
    iou: float | None = 0.5
    candidates: int = 1000
    sha256: str | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise SettingsError(f"format {self.format}; this miacap reads {FORMAT}.")
        if not self.name.strip():
            raise SettingsError("a detector needs a name.")
        if not 1 <= len(self.classes) <= _MOST_CLASSES:
            raise SettingsError(f"classes: 1 to {_MOST_CLASSES}, not {len(self.classes)}.")
        if self.iou is not None and not 0 < self.iou <= 1:
            raise SettingsError(f"iou lies in (0, 1], not {self.iou}.")
        if not 1 <= self.candidates <= 5000:
            raise SettingsError(f"candidates are 1 to 5000, not {self.candidates}.")


def read_description(path: str | os.PathLike[str]) -> Description:
    """Read a detector's description.

    Raises:
        DataError: no such file, or no JSON.
        SettingsError: an unknown, missing or wrong field; names the nearest known one.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: there is no such description of a detector.")
    return from_json(Description, read_json(file), str(file))


def _check_strides(strides: tuple[int, ...]) -> None:
    if not strides or not all(1 <= stride <= _LARGEST_STRIDE for stride in strides):
        raise SettingsError(f"outputs: strides are 1 to {_LARGEST_STRIDE}, not {list(strides)}.")
