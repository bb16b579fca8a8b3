"""Regions as the boxes that a detector finds, each pooled from a backbone's map.

    rows = the whole photo, then the best boxes, by falling score
    features of a row = mean of its aligned cells on the backbone's own map (`roi_align`)

A box comes once, with its best class. The whole photo is always there, so no photo is without
regions. Joined with the grid, the cells come first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.data.features import Detector
from miacap.visual.detectors import Detections, OnnxDetector
from miacap.visual.detectors.inputs import Seen
from miacap.visual.grid import Grid, Prepared, stacked
from miacap.visual.pixels import Pixels
from miacap.visual.roi_align import shares


class PreparedForBoth(NamedTuple):
    """A photo as the backbone and the detector take it."""

    grid: Prepared
    seen: Seen


class DetectorRegions:
    """Photos in, one row per box out: `Regions` of a detector.

    Args:
        detector: finds the boxes.
        grid: the backbone whose map is pooled, and how photos are prepared for it.
        record: which boxes are taken, and how they are pooled.
    """

    def __init__(self, detector: OnnxDetector, grid: Grid, record: Detector) -> None:
        self.detector, self.grid, self.record = detector, grid, record

    @property
    def width(self) -> int:
        """Length of a row, V."""
        return self.grid.width

    def prepare(self, image: Image.Image | Pixels) -> PreparedForBoth:
        """Turn an upright RGB photo (from `decode`) into what both networks take."""
        return PreparedForBoth(self.grid.prepare(image), self.detector.see(image))

    def regions(
        self, prepared: Sequence[PreparedForBoth]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the rows of prepared photos and their boxes; N differs from photo to photo."""
        if not prepared:
            return []
        found = [choose(self.detector.detect(photo.seen), self.record) for photo in prepared]
        maps = self.grid.maps_of(stacked([photo.grid.pixels for photo in prepared]))
        # Photo by photo: a row does not depend on the photos beside it.
        each = (part[i : i + 1] for part in maps for i in range(len(part)))
        return [self._of_one(map, boxes) for map, boxes in zip(each, found, strict=True)]

    def rows(
        self, images: Sequence[Image.Image]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the rows of upright RGB photos, and their boxes."""
        return self.regions([self.prepare(image) for image in images])

    def _of_one(
        self, map: Float[Tensor, "1 V h w"], boxes: Float[Tensor, "N 4"]
    ) -> tuple[Float[Tensor, "K V"], Float[Tensor, "K 4"]]:
        h, w = map.shape[-2:]
        of_boxes = shares(boxes, h, w, self.record.bins, self.record.samples)
        rows = of_boxes @ map[0].flatten(1).T.cpu()
        if self.record.rows == "grid+boxes":
            cells = self.grid.cells(map)[0].cpu()
            return torch.cat([cells, rows]), torch.cat([self.grid.boxes(), boxes])
        return rows, boxes


def choose(found: Detections, record: Detector) -> Float[Tensor, "N 4"]:
    """Give the whole photo and the best boxes, as a record says.

    All boxes from `threshold` on are taken, at least `fewest` and at most `boxes` with the whole
    photo; where the detector has fewer boxes, there are fewer.
    """
    boxes, scores, _, _ = found.distinct()
    count = record.count(scores.tolist())
    return torch.cat([torch.tensor([[0.0, 0.0, 1.0, 1.0]]), boxes[:count]])
