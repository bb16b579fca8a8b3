"""Captions, photos and features on their way into tensors.

Readers make a `Dataset` of any folder of photos with captions, `scenes` draws one, the feature
store keeps what a backbone or a concept extractor saw, and batches join them by name.
This room may import `text`, `tables`, `pictures` and the ground floor; only
`store`, `batches` and `conversion` import torch, so names are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.data.batches import Batch, Batches
    from miacap.data.conversion import Conversion, convert
    from miacap.data.dataset import Dataset, Entry, SetAside, Source
    from miacap.data.features import BoxHead, Detector, Given, Preprocessing
    from miacap.data.photos import NoPhotos, OptionalPhotos, Photos
    from miacap.data.readers import read
    from miacap.data.scenes import draw
    from miacap.data.store import FeatureStore, Manifest, StoreWriter

_HOMES = {
    "Batch": "batches",
    "Batches": "batches",
    "Conversion": "conversion",
    "Dataset": "dataset",
    "BoxHead": "features",
    "Detector": "features",
    "Entry": "dataset",
    "FeatureStore": "store",
    "Given": "features",
    "Manifest": "store",
    "NoPhotos": "photos",
    "OptionalPhotos": "photos",
    "Photos": "photos",
    "Preprocessing": "features",
    "SetAside": "dataset",
    "Source": "dataset",
    "StoreWriter": "store",
    "convert": "conversion",
    "draw": "scenes",
    "read": "readers",
}

__all__ = [
    "Batch",
    "Batches",
    "BoxHead",
    "Conversion",
    "Dataset",
    "Detector",
    "Entry",
    "FeatureStore",
    "Given",
    "Manifest",
    "NoPhotos",
    "OptionalPhotos",
    "Photos",
    "Preprocessing",
    "SetAside",
    "Source",
    "StoreWriter",
    "convert",
    "draw",
    "read",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"miacap.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'miacap.data' has no attribute {name!r}")
