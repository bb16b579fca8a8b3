"""Photos into regions: decoding, preparing, backbones, detectors, rows with their boxes.

`regions_named` gives what finds regions, `extract` fills a feature store from a dataset,
`regions_for` rebuilds for a new photo what made a store or a run, `prepared` reads photos ahead of
either, `decode` reads any photo file right.
This room may import `pictures`, `data` and the ground floor, and needs torch and Pillow.
"""

from importlib.util import find_spec

from miacap.errors import MissingExtra

if any(find_spec(package) is None for package in ("torch", "PIL", "jaxtyping")):
    raise MissingExtra("torch", "Reading photos")

from miacap.visual.backbone import Backbone
from miacap.visual.backbones import load, names
from miacap.visual.extraction import extract
from miacap.visual.grid import Grid, boxes, preprocessing_for
from miacap.visual.named_regions import needs_backbone, regions_named
from miacap.visual.photo import decode, size_of, upright
from miacap.visual.places import Places
from miacap.visual.preprocessing import prepare
from miacap.visual.reading import Ready, prepared
from miacap.visual.regions import Regions, regions_for

__all__ = [
    "Backbone",
    "Grid",
    "Places",
    "Ready",
    "Regions",
    "boxes",
    "decode",
    "extract",
    "load",
    "names",
    "needs_backbone",
    "prepare",
    "prepared",
    "preprocessing_for",
    "regions_for",
    "regions_named",
    "size_of",
    "upright",
]
