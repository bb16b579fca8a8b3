"""A vision model of transformers as a backbone: its patch tokens, or its last map, as cells.

Of a model of pictures and words (CLIP, SigLIP) the half that sees is taken. Tokens of the class,
and registers, stand before the patches and are dropped.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from miacap.devices import Device
from miacap.errors import RunError
from miacap.visual.backbone import Backbone
from miacap.visual.huggingface.folder import ModelFolder
from miacap.visual.huggingface.preparation import preparation
from miacap.visual.huggingface.weights import Filled, build, configuration
from miacap.visual.libraries import Library, NotFinite

_MOST_PREFIX = 3
"""Tokens before the patches besides registers: of the class, of a distilled class, of a mask."""
_DEEPEST_STRIDE = 64


def load(name: str, folder: ModelFolder, device: Device = "auto") -> Backbone:
    """Give the vision model of a folder as a backbone.

    Args:
        name: under which it is recorded, without "hf:".
        folder: where it lies.
        device: where it runs.

    Raises:
        RunError: no vision model, one that gives no cells, or one that lacks weights.
        MissingExtra: transformers is not installed.
        SettingsError: no such device, or more than the memory that is left.
    """
    full = f"hf:{name}"
    config, seeing = _sight(full, folder)
    own = preparation(folder.path)
    own.setdefault("size", _own_size(config))
    more = _further_arguments(seeing.network, config)

    def features(x: Tensor) -> Tensor:
        y = getattr(seeing.network(pixel_values=x, **more(x)), "last_hidden_state", None)
        if not isinstance(y, Tensor):
            raise RunError(f"The backbone {full} gives no last map or tokens; choose another.")
        return as_map(full, y, x, config)

    mean, std = own.pop("mean"), own.pop("std")
    try:
        found = Library(
            full, seeing.network, features, mean, std, device, preparation=own,
            weights_sha256=folder.sha256,
        )  # fmt: skip
    except NotFinite as error:
        raise seeing.lacking(full) if seeing.missing else error from None
    return found


def _sight(name: str, folder: ModelFolder) -> tuple[Any, Filled]:
    """Give the settings and the network of what sees in a folder's model."""
    config = configuration(folder)
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    half = getattr(config, "vision_config", None)
    if half is not None and type(half) in MODEL_MAPPING:
        return half, _require_pixels(name, build(MODEL_MAPPING[type(half)], half, folder))
    if type(config) not in MODEL_MAPPING:
        raise RunError(f"The backbone {name}: transformers has no network for it; choose another.")
    whole = build(MODEL_MAPPING[type(config)], config, folder)
    if half is None:
        return config, _require_pixels(name, whole)
    inner = getattr(whole.network, "vision_model", None)
    if not isinstance(inner, nn.Module):
        raise RunError(f"The backbone {name}: its half that sees is not known; choose another.")
    return half, _require_pixels(name, Filled(inner, whole.missing, whole.unused))


def _require_pixels(name: str, filled: Filled) -> Filled:
    if "pixel_values" not in inspect.signature(filled.network.forward).parameters:
        raise RunError(f"The backbone {name} is no vision model; choose one that takes photos.")
    return filled


def _further_arguments(network: nn.Module, config: Any) -> Callable[[Tensor], Mapping[str, Any]]:
    """Have positions interpolated where photos are shown in another size than the model's own."""
    takes = "interpolate_pos_encoding" in inspect.signature(network.forward).parameters
    own = getattr(config, "image_size", None)
    sides = tuple(own) if isinstance(own, list | tuple) else (own, own)

    def more(x: Tensor) -> Mapping[str, Any]:
        if not takes or own is None or tuple(x.shape[-2:]) == sides:
            return {}
        return {"interpolate_pos_encoding": True}

    return more


def _own_size(config: Any) -> int | tuple[int, int]:
    own = getattr(config, "image_size", None)
    if isinstance(own, list | tuple) and len(own) == 2:
        return int(own[0]), int(own[1])
    return own if isinstance(own, int) else 224


def as_map(name: str, y: Tensor, x: Tensor, config: Any) -> Tensor:
    """Turn tokens, or a map with its channels last, into B x V x h x w.

    Args:
        name: of the backbone, for the message.
        y: what the network gave.
        x: the photos that it was given.
        config: the network's settings.

    Raises:
        RunError: no cells that cover the photo row by row.
    """
    if y.ndim == 4:
        widths = getattr(config, "hidden_sizes", None) or [getattr(config, "hidden_size", None)]
        last = y.shape[-1] == widths[-1] and y.shape[1] != widths[-1]
        return y.permute(0, 3, 1, 2) if last else y
    if y.ndim == 3:
        prefix = _MOST_PREFIX + int(getattr(config, "num_register_tokens", 0) or 0)
        for h, w in _grids(x, config):
            before = y.shape[1] - h * w
            if 0 <= before <= prefix:
                return y[:, before:].transpose(1, 2).reshape(len(y), -1, h, w)
    raise RunError(
        f"The backbone {name} gives features of shape {tuple(y.shape)} for photos of "
        f"{x.shape[-2]} x {x.shape[-1]}, which are no cells of a grid; choose another."
    )


def _grids(x: Tensor, config: Any) -> list[tuple[int, int]]:
    """Give the grids that patches may form: by the size of a patch, or merged by two, and again."""
    own = getattr(config, "patch_size", None)
    deepest = _DEEPEST_STRIDE if hasattr(config, "depths") else 0  # models that merge patches
    patch = own if isinstance(own, list | tuple) else (own, own)
    if not all(isinstance(side, int) and side > 0 for side in patch):
        return []
    found, factor = [], 1
    while factor == 1 or patch[0] * factor <= deepest:
        h, w = patch[0] * factor, patch[1] * factor
        found.append((x.shape[-2] // h, x.shape[-1] // w))
        found.append((-(-x.shape[-2] // h), -(-x.shape[-1] // w)))
        factor *= 2
    return [grid for grid in found if min(grid) > 0]
