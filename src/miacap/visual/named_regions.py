"""Regions by name: "grid", "detector:FILE.onnx", "grid+detector:FILE.onnx", "torchvision:NAME"."""

import re
from typing import Literal

from miacap.data.features import Detector, Preprocessing
from miacap.devices import Device
from miacap.errors import SettingsError, UnknownName
from miacap.visual import backbones, detectors
from miacap.visual.backbone import Backbone
from miacap.visual.detector_regions import DetectorRegions
from miacap.visual.grid import Grid, preprocessing_for
from miacap.visual.libraries import TORCHVISION
from miacap.visual.places import Places
from miacap.visual.regions import Regions

GRID = "grid"
DETECTOR = "detector:"
KNOWN = (GRID, "detector:FILE.onnx", "grid+detector:FILE.onnx", "torchvision:fasterrcnn_...")
_LEAST_SCORE = 0.2
_COUNT = re.compile(r"(?:(\d{1,4})-)?(\d{1,4})", re.ASCII)


def regions_named(
    name: str,
    backbone: str | Backbone | None = backbones.DEFAULT,
    *,
    preprocessing: Preprocessing | None = None,
    boxes: str | None = None,
    threshold: float | None = None,
    device: Device = "auto",
    places: Places | None = None,
) -> Regions:
    """Give what finds regions, by name.

    Args:
        name: "grid" for the cells of the backbone's map; "detector:FILE" for the whole photo and
            the boxes that an ONNX detector finds, pooled from the map; "grid+detector:FILE" for
            both; "torchvision:NAME" for a Faster R-CNN with the features of its own box head.
        backbone: a name, as `backbones.load` takes it, or a loaded backbone; a Faster R-CNN needs
            none.
        preprocessing: how photos are prepared for it; None takes its defaults.
        boxes: of a detector: "36" takes so many, the best, whatever their scores; "10-100" takes
            those from `threshold` on, at least 10 and at most 100. The whole photo counts as one.
        threshold: least score of boxes beyond the fewest; 0.2 unless told.
        device: where the networks run.
        places: where weights may be found.

    Raises:
        UnknownName: no such regions, or no such backbone.
        SettingsError: boxes or a threshold that say nothing here.
        DataError, RunError, MissingExtra: see `detectors.load`.
    """
    if name.startswith(TORCHVISION):
        return _box_head(name, boxes, threshold, device, places)
    rows, file = _parts(name)
    if file is None:
        _require_no_boxes(boxes, threshold)
    fewest, most, least = _counts(boxes or "36", threshold)
    found = None if file is None else detectors.load(file, device)
    if backbone is None:
        raise SettingsError(f"Regions {name!r} are of a backbone's map; name a backbone.")
    net = backbones.load(backbone, device, places) if isinstance(backbone, str) else backbone
    grid = Grid(net, preprocessing or preprocessing_for(net))
    if found is None:
        return grid
    record = Detector(
        found.weights_sha256, found.description, grid.record,
        rows=rows, boxes=most, fewest=fewest, threshold=least,
    )  # fmt: skip
    return DetectorRegions(found, grid, record)


def _require_no_boxes(boxes: str | None, threshold: float | None) -> None:
    if boxes is not None or threshold is not None:
        raise SettingsError(
            "boxes and threshold are of a detector; grid has as many regions as cells. Name a "
            "detector: --regions detector:FILE.onnx"
        )


def _parts(name: str) -> tuple[Literal["boxes", "grid+boxes"], str | None]:
    """Give what the rows are, and the detector's file; None where there is none."""
    if name == GRID:
        return "boxes", None
    rows: Literal["boxes", "grid+boxes"] = "boxes"
    rest = name
    if name.startswith(f"{GRID}+"):
        rows, rest = "grid+boxes", name.removeprefix(f"{GRID}+")
    file = rest.removeprefix(DETECTOR)
    if file == rest or not file:
        raise UnknownName("regions", name, KNOWN)
    return rows, file


def needs_backbone(name: str) -> bool:
    """Whether regions of this name are of a backbone's map."""
    return not name.startswith(TORCHVISION)


def _box_head(
    name: str, boxes: str | None, threshold: float | None, device: Device, places: Places | None
) -> Regions:
    from miacap.visual import box_head  # its library is optional and slow to import

    fewest, most, least = _counts(boxes or "36", threshold)
    found = box_head.FasterRcnn(name, device, places)
    record = found.record(boxes=most, fewest=fewest, threshold=least)
    return box_head.BoxHeadRegions(found, record)


def _counts(boxes: str, threshold: float | None) -> tuple[int, int, float]:
    """Give the fewest, the most, and the least score of boxes beyond the fewest."""
    found = _COUNT.fullmatch(boxes.strip())
    if found is None:
        raise SettingsError(
            f"boxes is a number (36), or the fewest and the most (10-100), not {boxes!r}."
        )
    most = int(found[2])
    fewest = most if found[1] is None else int(found[1])
    if threshold is not None and fewest == most:
        raise SettingsError(
            f"threshold says which boxes are taken beyond the fewest, and {most} are always "
            f"taken; write --boxes 1-{most}, or leave the threshold out."
        )
    return fewest, most, _LEAST_SCORE if threshold is None else threshold
