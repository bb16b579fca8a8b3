"""A detector that looks at photos for their classes alone: no box, no backbone."""

from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.data.features import Preprocessing
from miacap.visual.detectors.inputs import Seen
from miacap.visual.detectors.onnx_detector import OnnxDetector
from miacap.visual.pixels import Pixels


class Looking:
    """What `visual.prepared` makes photos ready for, and the classes that are in them.

    Args:
        detector: finds boxes with scores.
    """

    def __init__(self, detector: OnnxDetector) -> None:
        self.detector = detector
        seen = detector.description.input
        self.record = Preprocessing(
            detector.description.name, detector.weights_sha256, size=(seen.height, seen.width)
        )

    def prepare(self, image: Image.Image | Pixels) -> Seen:
        """Turn an upright RGB photo into what the detector takes."""
        return self.detector.see(image)

    def scores(self, seen: Any) -> Float[Tensor, " C"]:
        """Give the score of the best box of each class; 0 where there is no box of it."""
        boxes, scores = self.detector.candidates(seen)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
        none = torch.zeros(1, scores.shape[1])
        return torch.cat([none, scores[inside]]).amax(0)
