"""torchvision's Faster R-CNN: the whole photo and its boxes, with the features of its box head.

    proposals   of the region proposal network
    boxes       classified, moved and freed of doubles by the network's second stage, best first
    rows        box_head(box_roi_pool(maps, boxes)): what that stage classifies a box by

Boxes are pooled a second time, after they were moved: the rows are of the boxes that are stored.
The whole photo is pooled as one more box, and always the first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from miacap import devices
from miacap.data.features import BoxHead
from miacap.devices import Device
from miacap.errors import RunError, UnknownName
from miacap.visual import from_torchvision
from miacap.visual.libraries import filled, first_fitting, imported, other_weights, read_file
from miacap.visual.pixels import Pixels
from miacap.visual.places import Places
from miacap.weights import checksum

_LEAST_SCORE = 0.01
"""Of boxes that are looked at; the network's own, 0.05, leaves too few on many photos."""
_MOST_FOUND = 1000


class Found(NamedTuple):
    """What the network finds in a photo, best first.

    Attributes:
        boxes: x0 y0 x1 y1, in pixels of what it sees.
        scores: probability of each.
        classes: number of each one's class.
        maps: of the photo, for pooling.
        size: height and width of what it sees.
    """

    boxes: Float[Tensor, "N 4"]
    scores: Float[Tensor, " N"]
    classes: Int[Tensor, " N"]
    maps: Any
    size: tuple[int, int]


class FasterRcnn:
    """A Faster R-CNN of torchvision, float32, without gradients.

    Args:
        name: "torchvision:fasterrcnn_resnet50_fpn", ...
        device: where it runs.
        places: where its weights may be found.
        wanted: checksum that they have to have; None takes those that the name says.

    Attributes:
        name: as given.
        classes: names of its classes, by number.
        weights_sha256: of its weights.
        size: pixels to which a photo's shorter side is scaled, and of its longer side at most.
        width: numbers that its box head gives for a box.

    Raises:
        MissingExtra: torchvision is not installed.
        UnknownName: it has no such detector.
        RunError: its weights are not here, or not its own.
    """

    def __init__(
        self,
        name: str,
        device: Device = "auto",
        places: Places | None = None,
        wanted: str | None = None,
    ) -> None:
        self.name = name
        short = name.removeprefix(from_torchvision.LIBRARY)
        models = imported("torchvision", short).models
        architecture, _, tag = short.partition(".")
        known = [one for one in models.list_models(module=models.detection) if "fasterrcnn" in one]
        if architecture not in known:
            raise UnknownName("Faster R-CNN in torchvision", architecture, known)
        published = models.get_model_weights(architecture)
        weights = published[tag] if tag else published.DEFAULT
        files = from_torchvision.candidates(name, published, weights, places or Places.of(), wanted)

        def fill(path: Path) -> Any:
            network = models.get_model(architecture, weights=None, weights_backbone=None)
            tensors = read_file(path)
            filled(name, path, lambda: network.load_state_dict(tensors))
            return network

        network: Any = first_fitting(name, files, fill, wanted)
        self.classes: tuple[str, ...] = tuple(weights.meta["categories"])
        self.weights_sha256 = wanted or checksum(network.state_dict())
        self.device = devices.choose(device)
        network.roi_heads.score_thresh = _LEAST_SCORE
        network.roi_heads.detections_per_img = _MOST_FOUND
        self.network = network.requires_grad_(False).eval().to(self.device)
        transform = network.transform
        self.size = (int(transform.min_size[-1]), int(transform.max_size))
        self.width = int(network.roi_heads.box_predictor.cls_score.in_features)

    def see(self, image: Image.Image | Pixels) -> np.ndarray:
        """Scale an upright RGB photo to what the network sees: height x width x 3, uint8."""
        shorter, longer = self.size
        scale = min(shorter / min(image.size), longer / max(image.size))
        width, height = (max(1, int(side * scale)) for side in image.size)
        whole = (0.0, 0.0, float(image.size[0]), float(image.size[1]))
        return np.array(image.resize((width, height), Image.Resampling.BILINEAR, whole))

    @torch.inference_mode()
    def find(self, pixels: np.ndarray) -> Found:
        """Find boxes in what `see` gives."""
        net = self.network
        photo = torch.from_numpy(pixels).permute(2, 0, 1).to(self.device).float() / 255
        images, _ = net.transform([photo])
        maps = net.backbone(images.tensors)
        maps = {"0": maps} if isinstance(maps, Tensor) else maps
        proposals, _ = net.rpn(images, maps)
        found, _ = net.roi_heads(maps, proposals, images.image_sizes)
        scores, order = found[0]["scores"].sort(descending=True, stable=True)
        boxes, classes = found[0]["boxes"][order], found[0]["labels"][order]
        height, width = images.image_sizes[0]
        return Found(boxes, scores, classes, maps, (int(height), int(width)))

    @torch.inference_mode()
    def rows(self, found: Found, boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N V"]:
        """Give the box head's features of boxes, in pixels of what the network sees."""
        heads = self.network.roi_heads
        pooled = heads.box_roi_pool(found.maps, [boxes], [found.size])
        rows: Tensor = heads.box_head(pooled)
        if not bool(rows.isfinite().all()):
            raise RunError(f"The detector {self.name} gives numbers that are not finite.")
        return rows


class BoxHeadRegions:
    """Photos in, one row per box out: `Regions` of a Faster R-CNN.

    Args:
        detector: the network.
        record: which boxes are taken.

    Raises:
        RunError: the record is of other weights.
    """

    def __init__(self, detector: FasterRcnn, record: BoxHead) -> None:
        if record.weights_sha256 != detector.weights_sha256:
            raise other_weights(detector.name, detector.weights_sha256, record.weights_sha256)
        self.detector, self.record = detector, record

    @property
    def width(self) -> int:
        """Length of a row, V."""
        return self.detector.width

    def prepare(self, image: Image.Image | Pixels) -> np.ndarray:
        """Scale an upright RGB photo (from `decode`) to what the network sees."""
        return self.detector.see(image)

    def regions(
        self, prepared: Sequence[np.ndarray]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the rows of prepared photos and their boxes, photo by photo."""
        return [self._of_one(pixels) for pixels in prepared]

    def rows(
        self, images: Sequence[Image.Image]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the rows of upright RGB photos, and their boxes."""
        return self.regions([self.prepare(image) for image in images])

    def _of_one(self, pixels: np.ndarray) -> tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]:
        found = self.detector.find(pixels)
        height, width = found.size
        sides = found.boxes.new_tensor([width, height, width, height])
        count = self.record.count(found.scores.tolist())
        boxes = torch.cat([torch.cat([sides.new_zeros(2), sides[:2]])[None], found.boxes[:count]])
        rows = self.detector.rows(found, boxes)
        return rows.float().cpu(), (boxes / sides).clamp(0, 1).float().cpu()


class BoxHeadClassNames:
    """A Faster R-CNN that looks at photos for their classes alone; see `detectors.ClassNames`.

    Args:
        detector: the network.
    """

    def __init__(self, detector: FasterRcnn) -> None:
        self.detector = detector
        self.name, self.classes = detector.name, detector.classes
        self.checksum = detector.weights_sha256
        self.record = BoxHead(detector.name, detector.weights_sha256, detector.size)

    def prepare(self, image: Image.Image | Pixels) -> np.ndarray:
        """Scale an upright RGB photo to what the network sees."""
        return self.detector.see(image)

    def scores(self, prepared: Any) -> Float[Tensor, " C"]:
        """Give the score of the best box of each class; 0 where there is no box of it."""
        found = self.detector.find(prepared)
        none = torch.zeros(len(self.classes), device=found.scores.device)
        best = none.scatter_reduce(0, found.classes, found.scores, "amax", include_self=True)
        return best.cpu()
