"""`torchvision:NAME`, or `NAME.WEIGHTS`: GoogLeNet, ResNet-101 and all its other classifiers.

The network is built without weights and filled by us: what torchvision downloads is read as
tensors alone. What comes before the pooling is run, as the network's own `forward` does it.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from miacap.devices import Device
from miacap.errors import RunError
from miacap.visual.backbone import Backbone
from miacap.visual.libraries import (
    Library,
    as_map,
    filled,
    imported,
    not_here,
    read_file,
    require_known,
    triple,
)
from miacap.visual.places import Places

_INCEPTIONS = ("googlenet", "inception_v3")
"""Their published weights are of a port: photos are normalised a second time inside."""
_AFTER = ("avgpool", "fc", "classifier", "head", "heads")
_OLD_DENSE = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\..*)")


def load(name: str, device: Device, places: Places) -> Backbone:
    """Give a network of torchvision as a backbone.

    Raises:
        MissingExtra: torchvision is not installed.
        RunError: its weights are not here or not its own, or it gives no map.
        UnknownName: torchvision has no such network, or no such weights of it.
    """
    models = imported("torchvision", name).models
    full = f"torchvision:{name}"
    architecture, _, tag = name.partition(".")
    require_known("torchvision", architecture, models.list_models(module=models))
    published = models.get_model_weights(architecture)
    if tag:
        require_known(f"torchvision:{architecture}", tag, [one.name for one in published])
    weights = published[tag] if tag else published.DEFAULT
    inception = architecture in _INCEPTIONS
    more = {"transform_input": True, "init_weights": False} if inception else {}
    network = models.get_model(architecture, weights=None, **more)
    path = _file(full, name, weights, places)
    tensors = read_file(path)
    if architecture.startswith("densenet"):
        tensors = {_OLD_DENSE.sub(r"\1\2", key): value for key, value in tensors.items()}
    filled(full, path, lambda: network.load_state_dict(tensors))
    if inception:  # heads of training alone
        network.aux_logits = False
        for head in ("aux1", "aux2", "AuxLogits"):
            if hasattr(network, head):
                setattr(network, head, None)
    transforms = weights.transforms()
    return Library(
        full, network, _features(full, network), triple(transforms.mean), triple(transforms.std),
        device,
    )  # fmt: skip


def _file(full: str, name: str, weights: Any, places: Places) -> Path:
    """Find the file of weights; fetch it into torch's cache where that is allowed."""
    given = places.files(name) or places.files(name.partition(".")[0])
    if given:
        return given[0]
    url = str(weights.url)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    cached = folder / url.rpartition("/")[2]
    if not cached.is_file():
        if not places.download:
            raise not_here(full)
        folder.mkdir(parents=True, exist_ok=True)
        ends = re.search(r"-([0-9a-f]{8,})\.", cached.name)  # how torch names what it checks
        try:
            torch.hub.download_url_to_file(url, str(cached), ends[1] if ends else None)
        except Exception as error:  # networks and disks fail in many ways
            raise RunError(
                f"The backbone {full}: its weights could not be had ({error})."
            ) from None
    return cached


def weights_file(full: str, name: str, weights: Any, places: Places) -> Path:
    """Find the file of a network's weights, for others of torchvision than classifiers.

    Raises:
        RunError: it is not on this machine, or could not be fetched.
    """
    return _file(full, name, weights, places)


def _features(name: str, network: Any) -> Callable[[Tensor], Tensor]:
    if hasattr(network, "class_token"):
        return lambda x: as_map(name, _tokens(network, x), 1)
    trunk = _trunk(network)
    before = getattr(network, "_transform_input", None)
    return lambda x: as_map(name, trunk(x if before is None else before(x)), 0)


def _tokens(network: Any, x: Tensor) -> Tensor:
    """Run a vision transformer up to its last layer: the class, then the patches."""
    patches = network._process_input(x)
    first = network.class_token.expand(len(patches), -1, -1)
    y: Tensor = network.encoder(torch.cat([first, patches], dim=1))
    return y


def _trunk(network: nn.Module) -> nn.Module:
    """Give what comes before the pooling: the children in order, without training's side heads."""
    before = []
    for name, child in network.named_children():
        if name in _AFTER:
            break
        if not name.lower().startswith("aux"):
            before.append(child)
    return nn.Sequential(*before)
