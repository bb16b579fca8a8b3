"""How a photo becomes numbers, written down so that it can be done again in exactly that way."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.errors import RunError, SettingsError
from miacap.visual.photo import Alpha, Exif

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocessing:
    """Everything that decides which numbers a photo becomes; kept in stores and run folders.

    Attributes:
        backbone: its name, as `backbones.load` takes it.
        weights_sha256: checksum of the backbone's weights.
        size: side of the square that the backbone sees, in pixels.
        resize: "squash" shows the whole photo, its sides scaled alone; "crop" scales the
            shorter side to ``size`` and cuts the middle out.
        interpolation: Pillow's filter, antialiased, on 8-bit values (integers: the same
            result on every machine).
        mean, std: per channel, for values in [0, 1].
        colour: order of the channels.
        alpha: what shines through transparent pixels.
        exif: "apply" turns the photo as its EXIF orientation says.
    """

    backbone: str
    weights_sha256: str
    size: int = 224
    resize: Literal["squash", "crop"] = "squash"
    interpolation: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    colour: Literal["RGB", "BGR"] = "RGB"
    alpha: Alpha = "white"
    exif: Exif = "apply"

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 4096:
            raise SettingsError(f"preprocessing: size is 32 to 4096 pixels, not {self.size}.")
        if not all(math.isfinite(m) for m in self.mean):
            raise SettingsError(f"preprocessing: mean has to be finite, not {self.mean}.")
        if not all(math.isfinite(s) and s > 0 for s in self.std):
            raise SettingsError(f"preprocessing: std has to be above 0, not {self.std}.")


def prepare(image: Image.Image, preprocessing: Preprocessing) -> Float[Tensor, "3 size size"]:
    """Turn an upright RGB photo into the backbone's input.

    Args:
        image: what `photo.decode` gave, mode RGB, any size.
        preprocessing: size, resize rule, filter, normalisation, order of channels.

    Returns:
        (value / 255 - mean) / std, channels first.
    """
    # numpy, not torch: threads prepare photos, and each would start torch's own threads.
    mean, std = (np.array(v, dtype=np.float32) for v in (preprocessing.mean, preprocessing.std))
    x = np.asarray(_resize(image, preprocessing), dtype=np.float32) / np.float32(255)
    x = (x - mean) / std
    if preprocessing.colour == "BGR":
        x = x[..., ::-1].copy()
    return torch.from_numpy(x).permute(2, 0, 1)


def window(
    size: tuple[int, int], preprocessing: Preprocessing
) -> tuple[float, float, float, float]:
    """Say what the backbone sees of a photo of ``size`` (width, height): x0 y0 x1 y1 in pixels."""
    width, height = size
    if preprocessing.resize == "squash":
        return 0.0, 0.0, float(width), float(height)
    side = min(size)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _resize(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    # The window need not begin at a whole pixel: one resampling cuts and scales.
    sides = (preprocessing.size, preprocessing.size)
    seen = window(image.size, preprocessing)
    return image.resize(sides, _FILTERS[preprocessing.interpolation], seen)


def require_same(
    expected: Mapping[str, Any], found: Mapping[str, Any], run: str, store: str
) -> None:
    """Refuse features that were not made as a run's were.

    Args:
        expected: the run's preprocessing, as a mapping.
        found: the store's.
        run, store: where the two lie, for the message.

    Raises:
        RunError: which settings differ, and what to do.
    """
    names = [field.name for field in fields(Preprocessing)]
    names += sorted((expected.keys() | found.keys()) - set(names))
    ours, theirs = _plain(expected), _plain(found)
    differing = [name for name in names if ours.get(name) != theirs.get(name)]
    if not differing:
        return
    if "backbone" in differing:
        raise RunError(
            f"{run} was made for another backbone: {ours.get('backbone')}, but {store} holds "
            f"features of {theirs.get('backbone')}. Extract them again with "
            f"--backbone {ours.get('backbone')}."
        )
    what = ", ".join(f"{name} {ours.get(name)!r} / {theirs.get(name)!r}" for name in differing)
    raise RunError(
        f"{run} was made for photos prepared otherwise than those in {store} ({what}). "
        "Extract the features again with the run's settings."
    )


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples and lists mean the same here: JSON knows lists alone."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in mapping.items()}
