"""torchvision's Faster R-CNN: the whole photo and its boxes, with the features of its box head.

    proposals   of the region proposal network
    boxes       each proposal once, moved as its best class says; freed of doubles class by class,
                best first
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
from miacap.visual.detectors.suppression import suppress
from miacap.visual.libraries import (
    TORCHVISION,
    filled,
    first_fitting,
    imported,
    other_weights,
    read_file,
)
from miacap.visual.pixels import Pixels
from miacap.visual.places import Places
from miacap.visual.preprocessing import FILTERS
from miacap.weights import checksum

_LEAST_SIDE = 0.01  # pixels; torchvision's own limit


class Found(NamedTuple):
    """What the network finds in a photo, best first.

    Attributes:
        boxes: x0 y0 x1 y1, in pixels of what it sees.
        scores: probability of each.
        classes: number of each one's class.
        best: score of the best box of each class; 0 where there is none.
        maps: of the photo, for pooling.
        size: height and width of what it sees.
    """

    boxes: Float[Tensor, "N 4"]
    scores: Float[Tensor, " N"]
    classes: Int[Tensor, " N"]
    best: Float[Tensor, " C"]
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
        overlap: of two boxes of one class that overlap more, the better one stays.
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
        short = name.removeprefix(TORCHVISION)
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
        self.network = network.requires_grad_(False).eval().to(self.device)
        transform = network.transform
        self.size = (int(transform.min_size[-1]), int(transform.max_size))
        self.overlap = float(network.roi_heads.nms_thresh)
        self.width = int(network.roi_heads.box_predictor.cls_score.in_features)

    def record(self, **boxes: Any) -> BoxHead:
        """Give the record of its features; `boxes`, `fewest` and `threshold` as `BoxHead` has."""
        return BoxHead(self.name, self.weights_sha256, self.size, overlap=self.overlap, **boxes)

    def see(self, image: Image.Image | Pixels) -> np.ndarray:
        """Scale an upright RGB photo to what the network sees: height x width x 3, uint8."""
        whole = (0.0, 0.0, float(image.size[0]), float(image.size[1]))
        filter = FILTERS[BoxHead.interpolation]
        return np.array(image.resize(scaled(image.size, self.size), filter, whole))

    @torch.inference_mode()
    def find(self, pixels: np.ndarray, how: BoxHead) -> Found:
        """Find boxes in what `see` gives.

        Args:
            pixels: of the photo.
            how: the record; boxes of a lower score are not looked at.
        """
        net, heads = self.network, self.network.roi_heads
        photo = torch.from_numpy(pixels).permute(2, 0, 1).to(self.device).float() / 255
        images, _ = net.transform([photo])
        maps = net.backbone(images.tensors)
        maps = {"0": maps} if isinstance(maps, Tensor) else maps
        proposals, _ = net.rpn(images, maps)
        rows = heads.box_head(heads.box_roi_pool(maps, proposals, images.image_sizes))
        logits, moves = heads.box_predictor(rows)
        height, width = (int(side) for side in images.image_sizes[0])
        # Off the GPU: there are 1,000 proposals, and what follows is done in small steps.
        moved = heads.box_coder.decode(moves, proposals).float().cpu()  # N x C x 4
        moved[..., 0::2].clamp_(0, width)
        moved[..., 1::2].clamp_(0, height)
        scores = logits.float().softmax(-1).cpu()
        scores[:, 0] = 0  # the background
        scores[(moved[..., 2:] - moved[..., :2] < _LEAST_SIDE).any(-1)] = 0
        scores[scores <= how.least_score] = 0
        best = torch.cat([scores.new_zeros(1, scores.shape[1]), scores]).amax(0)
        boxes, likeliest, classes = _once(moved, scores, how)
        return Found(boxes.to(self.device), likeliest, classes, best, maps, (height, width))

    @torch.inference_mode()
    def rows(self, found: Found, boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N V"]:
        """Give the box head's features of boxes, in pixels of what the network sees."""
        heads = self.network.roi_heads
        pooled = heads.box_roi_pool(found.maps, [boxes], [found.size])
        rows: Tensor = heads.box_head(pooled)
        if not bool(rows.isfinite().all()):
            raise RunError(f"The detector {self.name} gives numbers that are not finite.")
        return rows


def _once(
    moved: Float[Tensor, "N C 4"], scores: Float[Tensor, "N C"], how: BoxHead
) -> tuple[Float[Tensor, "K 4"], Float[Tensor, " K"], Int[Tensor, " K"]]:
    """Give each proposal once, with its best class, without doubles, best first."""
    likeliest, classes = scores.max(1)
    order = likeliest.sort(descending=True, stable=True).indices
    order = order[likeliest[order] > 0]
    boxes = moved[order, classes[order]]
    kept = suppress(boxes, classes[order], how.overlap).nonzero().squeeze(1)[: how.found]
    order = order[kept]
    return boxes[kept], likeliest[order], classes[order]


def scaled(size: tuple[int, int], limits: tuple[int, int]) -> tuple[int, int]:
    """Give width and height of a photo as large as the limits allow.

    One side is at its limit to the pixel: the network, which scales by the same limits, leaves
    such a photo as it is.

    Args:
        size: width and height.
        limits: of the shorter side, and of the longer side.
    """
    shorter, longer = limits
    least, most = min(size), max(size)
    if shorter * most <= longer * least:
        least, most = shorter, shorter * most // least
    else:
        least, most = max(1, longer * least // most), longer
    return (least, most) if size[0] <= size[1] else (most, least)


class BoxHeadRegions:
    """Photos in, one row per box out: `Regions` of a Faster R-CNN.

    Args:
        detector: the network.
        record: which boxes are taken.

    Raises:
        RunError: the record is of other weights, or of a network with other limits.
    """

    def __init__(self, detector: FasterRcnn, record: BoxHead) -> None:
        if record.weights_sha256 != detector.weights_sha256:
            raise other_weights(detector.name, detector.weights_sha256, record.weights_sha256)
        for what in ("size", "overlap"):
            own, recorded = getattr(detector, what), getattr(record, what)
            if own != recorded:
                raise RunError(
                    f"These regions were made by a {detector.name} whose {what} is {recorded}; in "
                    f"the torchvision that is installed it is {own}. Install the one that made "
                    "them, or extract the features again."
                )
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
        found = self.detector.find(pixels, self.record)
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
        self.record = detector.record()

    def prepare(self, image: Image.Image | Pixels) -> np.ndarray:
        """Scale an upright RGB photo to what the network sees."""
        return self.detector.see(image)

    def scores(self, prepared: Any) -> Float[Tensor, " C"]:
        """Give the score of the best box of each class; 0 where there is no box of it."""
        return self.detector.find(prepared, self.record).best
