"""Detectors: a file of weights and a description in, boxes with scores and classes out.

`load` reads an ONNX file with the description beside it (or one of ours, for the files that we
know), `OnnxDetector` finds boxes, `ClassNames` classes; `keep`, `copy`, `require` and `carried` are
for the stores and run folders that carry their detector along.
"""

from miacap.visual.detectors.carried import carried, copy, keep, require
from miacap.visual.detectors.class_names import ClassNames
from miacap.visual.detectors.detections import Detections
from miacap.visual.detectors.files import load, shipped
from miacap.visual.detectors.onnx_detector import OnnxDetector

__all__ = [
    "ClassNames",
    "Detections",
    "OnnxDetector",
    "carried",
    "copy",
    "keep",
    "load",
    "require",
    "shipped",
]
