"""`timm:NAME`, with or without a tag: any network of timm that gives a map or tokens.

timm builds the network and knows how its own weights are named; the file is read by us, so that
nothing in it is run, and handed over as tensors.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from miacap.devices import Device
from miacap.errors import MissingExtra, RunError
from miacap.visual.backbone import Backbone
from miacap.visual.libraries import (
    Library,
    as_map,
    filled,
    first_fitting,
    imported,
    read_file,
    require_known,
    triple,
)
from miacap.visual.places import Called, Places

_FILES = ("model.safetensors", "pytorch_model.bin")


def load(name: str, device: Device, places: Places, wanted: str | None = None) -> Backbone:
    """Give a network of timm as a backbone.

    Args:
        name: as timm has it, with or without a tag.
        device: where it runs.
        places: where its weights may be found.
        wanted: checksum that they have to have; None takes those that the name says.

    Raises:
        MissingExtra: timm is not installed.
        RunError: its weights are not here or not its own, or it gives no map.
        UnknownName: timm has no such network.
    """
    timm = imported("timm", name)
    full = f"timm:{name}"
    architecture = name.partition(".")[0]
    require_known("timm", architecture, timm.list_models())
    network = first_fitting(
        full, _candidates(timm, name, places, wanted),
        lambda path: _filled(timm, full, name, path), wanted,
    )  # fmt: skip
    data: Mapping[str, Any] = timm.data.resolve_model_data_config(network)
    trunk: Any = network.forward_features
    prefix = int(getattr(network, "num_prefix_tokens", 0))
    last = getattr(network, "output_fmt", "NCHW") == "NHWC"

    def features(x: Tensor) -> Tensor:
        return as_map(full, trunk(x), prefix, channels_last=last)

    mean, std = triple(data["mean"]), triple(data["std"])
    return Library(
        full, network, features, mean, std, device,
        preparation=_own_size(network, trunk, data), weights_sha256=wanted,
    )  # fmt: skip


def _own_size(network: Any, trunk: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Give the size that a network of one fixed size was made for, where that is not 224."""
    _, height, width = data.get("input_size", (3, 224, 224))
    if (height, width) == (224, 224):
        return {}
    try:
        with torch.inference_mode():
            trunk(torch.zeros(1, 3, 224, 224))
    except (AssertionError, RuntimeError, ValueError):
        return {"size": height if height == width else (height, width)}
    return {}


def _candidates(timm: Any, name: str, places: Places, wanted: str | None) -> Iterator[Path | None]:
    """Give the files that may hold a network's weights; None is what timm fetches itself."""
    known = timm.models.get_pretrained_cfg(name)
    url = getattr(known, "url", None)
    own = url.rpartition("/")[2] if isinstance(url, str) and url else None
    called = Called((name,), own)
    if wanted is None:
        given = places.file(called)
        if given is not None:
            yield given
            return
    else:
        yield from places.files(called)
    cached = _cached(timm, name)
    if cached is not None:
        yield cached
    elif places.download:
        yield None


def _filled(timm: Any, full: str, name: str, path: Path | None) -> Any:
    """Build a network with the weights of a file, or with those that timm fetches."""
    if path is None:
        try:
            return timm.create_model(name, pretrained=True).eval()
        except Exception as error:  # hubs, caches and files fail in many ways
            raise RunError(
                f"The backbone {full}: its weights could not be had ({error})."
            ) from None
    tensors = dict(read_file(path))
    overlay = {"state_dict": tensors}
    network = filled(
        full, path,
        lambda: timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay),
    )  # fmt: skip
    return network.eval()


def _cached(timm: Any, name: str) -> Path | None:
    """Find a network's weights in the caches that timm fills: of its hub, or of torch."""
    known = timm.models.get_pretrained_cfg(name)
    if known is None:
        return None
    if known.hf_hub_id:
        try:
            import huggingface_hub
        except ImportError:
            raise MissingExtra("backbones", f"The backbone timm:{name}") from None
        for file in filter(None, (known.hf_hub_filename, *_FILES)):
            found = huggingface_hub.try_to_load_from_cache(known.hf_hub_id, file)
            if isinstance(found, str):
                return Path(found)
    if isinstance(known.url, str) and known.url:
        file = Path(torch.hub.get_dir()) / "checkpoints" / known.url.rpartition("/")[2]
        return file if file.is_file() else None
    return None
