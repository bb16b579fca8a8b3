"""Photos into regions: decoding, preparing, backbones, the cells of their maps.

`extract` fills a feature store from a dataset, `grid_for` rebuilds for a new photo what made a
store or a run, `decode` reads any photo file right.
This room may import `pictures`, `data` and the ground floor, and needs torch and Pillow.
"""

from importlib.util import find_spec

from miacap.errors import MissingExtra

if any(find_spec(package) is None for package in ("torch", "PIL", "jaxtyping")):
    raise MissingExtra("torch", "Reading photos")

from miacap.visual.backbones import load, names
from miacap.visual.contract import Backbone
from miacap.visual.extraction import extract
from miacap.visual.grid import Grid, boxes, grid_for, preprocessing_for
from miacap.visual.photo import decode
from miacap.visual.preparing import Preprocessing, prepare, require_same

__all__ = [
    "Backbone",
    "Grid",
    "Preprocessing",
    "boxes",
    "decode",
    "extract",
    "grid_for",
    "load",
    "names",
    "prepare",
    "preprocessing_for",
    "require_same",
]
