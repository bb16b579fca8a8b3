"""A detector that looks at photos for their classes alone: no box, no backbone."""

import hashlib
import json
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.data.features import BoxHead, Preprocessing
from miacap.settings import to_json
from miacap.visual.detectors.inputs import Seen
from miacap.visual.detectors.onnx_detector import OnnxDetector
from miacap.visual.pixels import Pixels


@runtime_checkable
class FindsClasses(Protocol):
    """What looks at photos for classes: an ONNX detector, or one of torchvision.

    Attributes:
        name: of the detector.
        classes: names of its classes.
        checksum: of all that decides its scores.
        record: see `visual.prepared`.
    """

    name: str
    classes: tuple[str, ...]
    checksum: str

    @property
    def record(self) -> Preprocessing | BoxHead:
        """To what size photos are reduced, and how transparency and EXIF are taken."""

    def prepare(self, image: Image.Image | Pixels) -> Any:
        """Turn an upright RGB photo into what the detector takes."""
        ...

    def scores(self, prepared: Any) -> Float[Tensor, " C"]:
        """Give the score of the best box of each class; 0 where there is no box of it."""
        ...


class ClassNames:
    """What `visual.prepared` makes photos ready for, and the classes that are in them.

    Args:
        detector: finds boxes with scores.

    Attributes:
        name: of the detector.
        classes: names of its classes.
        checksum: one SHA-256 over its file and its description.
    """

    def __init__(self, detector: OnnxDetector) -> None:
        self.detector = detector
        seen = detector.description.input
        self.name, self.classes = detector.description.name, detector.description.classes
        told = [detector.weights_sha256, to_json(detector.description)]
        self.checksum = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        self.record = Preprocessing(
            detector.description.name, detector.weights_sha256, size=(seen.height, seen.width)
        )

    def prepare(self, image: Image.Image | Pixels) -> Seen:
        """Turn an upright RGB photo into what the detector takes."""
        return self.detector.see(image)

    def scores(self, prepared: Any) -> Float[Tensor, " C"]:
        """Give the score of the best box of each class; 0 where there is no box of it."""
        boxes, scores = self.detector.candidates(prepared)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
        none = torch.zeros(1, scores.shape[1])
        return torch.cat([none, scores[inside]]).amax(0)
