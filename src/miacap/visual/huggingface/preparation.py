"""How an image processor of Hugging Face prepares photos, in the words of our record.

Its numbers are (value f + o - m) / s, with a factor f (1 / 255), an offset o (-1, or 0), a mean m
and a deviation s. Ours are (value / 255 - mean) / std, so that

    mean = (m - o) / (255 f),   std = s / (255 f)      [eq:rescaled]

Its way of cutting photos is not taken over: captions speak of the whole photo, which is squashed
to the size that the network is fed, as for all backbones (`resize=crop` cuts out the middle).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from miacap.errors import RunError
from miacap.visual.huggingface.folder import read_object

PROCESSOR = "preprocessor_config.json"
COMBINED = "processor_config.json"
_FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of the filters that a record can name."""


def preparation(folder: Path) -> dict[str, Any]:
    """Give size, mean, std, interpolation and colour, as far as the processor says them.

    Raises:
        RunError: the file is absent, or says what no record can.
    """
    file, values = _values(folder)
    factor, offset = 1.0, 0.0
    if values.get("do_rescale", True):
        factor = _number(values.get("rescale_factor", 1 / 255), "rescale_factor", file)
        offset = -1.0 if values.get("rescale_offset") else 0.0
    mean: tuple[float, ...] = (0.0,) * 3
    std: tuple[float, ...] = (1.0,) * 3
    if values.get("do_normalize", "image_mean" in values):
        mean = _three(values.get("image_mean"), "image_mean", file)
        std = _three(values.get("image_std"), "image_std", file)
    if factor <= 0 or min(std) <= 0:
        raise RunError(f"{file}: a rescale_factor or image_std that is not above 0.")
    scale = 255 * factor  # exactly 1 for 1 / 255
    found: dict[str, Any] = {
        "mean": tuple((m - offset) / scale for m in mean),
        "std": tuple(s / scale for s in std),
    }
    if values.get("do_flip_channel_order"):
        found["colour"] = "BGR"
    if values.get("resample") is not None:
        if values["resample"] not in _FILTERS:
            raise RunError(
                f"{file}: resample is {str(values['resample'])[:20]}, and photos are scaled with 1 "
                "(lanczos), 2 (bilinear) or 3 (bicubic) alone; write one of these."
            )
        found["interpolation"] = _FILTERS[values["resample"]]
    size = _size(values)
    return found if size is None else {**found, "size": size}


def _values(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    if (folder / PROCESSOR).is_file():
        return folder / PROCESSOR, read_object(folder / PROCESSOR)
    file = folder / COMBINED
    if file.is_file():
        inner = read_object(file).get("image_processor")
        if isinstance(inner, dict):
            return file, inner
    raise RunError(
        f"{folder}: {PROCESSOR} is absent, which says how photos are prepared for the network; "
        "copy it, too."
    )


def _size(values: Mapping[str, Any]) -> int | tuple[int, int] | None:
    """Give the side, or height and width, of what the network is fed; None where it is not said."""
    named = values.get("crop_size") if values.get("do_center_crop") else None
    named = values.get("size") if named is None else named
    if isinstance(named, Mapping):
        sides: list[Any] = [named.get("height"), named.get("width")]
        if None in sides:
            sides = [named.get("shortest_edge", named.get("longest_edge"))] * 2
    else:
        sides = list(named) if isinstance(named, list | tuple) else [named] * 2
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        return None
    height, width = map(int, sides)
    return height if height == width else (height, width)


def _three(value: Any, name: str, file: Path) -> tuple[float, ...]:
    numbers = value if isinstance(value, list) and len(value) == 3 else [value] * 3
    return tuple(_number(one, name, file) for one in numbers)


def _number(value: Any, name: str, file: Path) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise RunError(f"{file}: {name} is {str(value)[:40]}, and not a number for each colour.")
