"""An ONNX file and its description: photos in, boxes with scores and classes out."""

import hashlib

from PIL import Image

from miacap.data.detectors import Description
from miacap.devices import Device
from miacap.errors import RunError
from miacap.visual.detectors.decoding import Candidates, decode
from miacap.visual.detectors.detections import Detections
from miacap.visual.detectors.inputs import Seen, normalised, relative, see
from miacap.visual.detectors.network import OnnxNetwork
from miacap.visual.detectors.suppression import best_pairs, suppress
from miacap.visual.pixels import Pixels


class OnnxDetector:
    """A detector: an ONNX file, run by onnxruntime, and what its outputs mean.

    Args:
        data: the bytes of the file.
        description: of its input and outputs.
        device: where it runs.

    Attributes:
        data: the bytes, so that a store or a run can carry them along.
        description: as given.
        weights_sha256: checksum of the bytes.

    Raises:
        MissingExtra: onnxruntime is not installed.
        RunError: no such file as is described; see `network.OnnxNetwork` too.
    """

    def __init__(self, data: bytes, description: Description, device: Device = "auto") -> None:
        self.data, self.description = data, description
        self.weights_sha256 = hashlib.sha256(data).hexdigest()
        if description.sha256 not in (None, self.weights_sha256):
            raise RunError(
                f"{description.name}: its description is of another file (SHA-256 "
                f"{str(description.sha256)[:12]}, not {self.weights_sha256[:12]}). Take that file, "
                "or, where both give the same outputs, leave sha256 out of the description."
            )
        self._network = OnnxNetwork(data, description.name, device)
        self._network.require_input(description.input.height, description.input.width)
        self._network.require_outputs(description.outputs.names)

    def see(self, image: Image.Image | Pixels) -> Seen:
        """Make an upright RGB photo ready; several threads may do this at once."""
        return see(image, self.description.input)

    def detect(self, seen: Seen) -> Detections:
        """Find pairs of box and class in a photo, best first.

        Of all boxes and classes the best `candidates` pairs are looked at. Doubles of one class
        and boxes outside the photo are left out; no pair is, however low its score.

        Raises:
            RunError: the outputs are not as described.
        """
        how = self.description
        boxes, scores = self._decoded(seen)
        best = best_pairs(scores, how.candidates)
        places = best.div(scores.shape[1], rounding_mode="floor")
        classes = best % scores.shape[1]
        pairs = Detections(boxes[places], scores.flatten()[best], classes, places)
        if how.iou is not None:
            pairs = pairs.take(suppress(pairs.boxes, classes, how.iou).nonzero().squeeze(1))
        pairs = pairs._replace(boxes=relative(pairs.boxes, seen))
        inside = (pairs.boxes[:, 2:] > pairs.boxes[:, :2]).all(1)
        return pairs.take(inside.nonzero().squeeze(1))

    def candidates(self, seen: Seen) -> Candidates:
        """Give all boxes, relative to the photo and cut at its edges, and their scores.

        Raises:
            RunError: the outputs are not as described.
        """
        boxes, scores = self._decoded(seen)
        return Candidates(relative(boxes, seen), scores)

    def _decoded(self, seen: Seen) -> Candidates:
        how = self.description
        pixels = normalised(seen.pixels, how.input)
        return decode(self._network(pixels, how.outputs.names), how)
