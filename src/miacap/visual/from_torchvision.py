"""`torchvision:NAME`, or `NAME.WEIGHTS`: GoogLeNet, ResNet-101 and all its other classifiers.

The network is built without weights and filled by us: what torchvision downloads is read as
tensors alone. What comes before the pooling is run, as the network's own `forward` does it.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from miacap.devices import Device
from miacap.errors import RunError
from miacap.visual.backbone import Backbone
from miacap.visual.libraries import (
    TORCHVISION,
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

_DENSE = "densenet"
_INCEPTIONS = ("googlenet", "inception_v3")
"""Their published weights are of a port: photos are normalised a second time inside."""
_AFTER = ("avgpool", "fc", "classifier", "head", "heads")
_OLD_DENSE = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\..*)")


def load(name: str, device: Device, places: Places, wanted: str | None = None) -> Backbone:
    """Give a network of torchvision as a backbone.

    Args:
        name: of the network, or of it and its weights.
        device: where it runs.
        places: where its weights may be found.
        wanted: checksum that they have to have; None takes those that the name says.

    Raises:
        MissingExtra: torchvision is not installed.
        RunError: its weights are not here or not its own, or it gives no map.
        UnknownName: torchvision has no such network, or no such weights of it.
    """
    models = imported("torchvision", name).models
    full = f"{TORCHVISION}{name}"
    architecture, _, tag = name.partition(".")
    require_known("torchvision", architecture, models.list_models(module=models))
    published = models.get_model_weights(architecture)
    if tag:
        require_known(f"torchvision:{architecture}", tag, [one.name for one in published])
    weights = published[tag] if tag else published.DEFAULT
    network = first_fitting(
        full, candidates(full, published, weights, places, wanted),
        lambda path: _filled(models, full, architecture, path), wanted,
    )  # fmt: skip
    transforms = weights.transforms()
    return Library(
        full, network, _features(full, network, architecture), triple(transforms.mean),
        triple(transforms.std), device, weights_sha256=wanted,
    )  # fmt: skip


def _filled(models: Any, full: str, architecture: str, path: Path) -> Any:
    """Build a network with the weights of a file."""
    inception = architecture in _INCEPTIONS
    more = {"transform_input": True, "init_weights": False} if inception else {}
    network = models.get_model(architecture, weights=None, **more)
    tensors = read_file(path)
    if architecture.startswith(_DENSE):
        tensors = {_OLD_DENSE.sub(r"\1\2", key): value for key, value in tensors.items()}
    filled(full, path, lambda: network.load_state_dict(tensors))
    if inception:  # heads of training alone
        network.aux_logits = False
        for head in ("aux1", "aux2", "AuxLogits"):
            if hasattr(network, head):
                setattr(network, head, None)
    return network


def candidates(
    full: str, published: Any, weights: Any, places: Places, wanted: str | None
) -> Iterator[Path]:
    """Give the files that may hold a network's weights, the likeliest first.

    Args:
        full: name of the network, "torchvision:NAME" or "torchvision:NAME.WEIGHTS".
        published: torchvision's weights of it.
        weights: those of them that the name says.
        places: where they may be found; they are fetched into torch's cache where it allows that.
        wanted: checksum that they have to have. None takes what the name says: one file.

    Raises:
        RunError: nothing is on this machine, or it could not be fetched.
    """
    short = full.removeprefix(TORCHVISION)
    names = tuple(dict.fromkeys((short, short.partition(".")[0])))
    own = _file_name(weights)
    others = {_file_name(one) for one in published} - {own}
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if wanted is None:
        named = "." in short
        given = places.file(Called(names, own, tuple(sorted(others)) if named else ()))
        if given is not None:
            yield given
        elif (folder / own).is_file():
            yield folder / own
        elif places.download:
            yield _fetched(full, str(weights.url), folder / own)
        return
    yield from places.files(Called(names, own))
    yield from (folder / one for one in (own, *sorted(others)) if (folder / one).is_file())
    if places.download and not (folder / own).is_file():
        yield _fetched(full, str(weights.url), folder / own)


def _file_name(weights: Any) -> str:
    return str(weights.url).rpartition("/")[2]


def _fetched(full: str, url: str, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    ends = re.search(r"-([0-9a-f]{8,})\.", file.name)  # how torch names what it checks
    try:
        torch.hub.download_url_to_file(url, str(file), ends[1] if ends else None)
    except Exception as error:  # networks and disks fail in many ways
        raise RunError(f"The backbone {full}: its weights could not be had ({error}).") from None
    return file


def _features(name: str, network: Any, architecture: str) -> Callable[[Tensor], Tensor]:
    if hasattr(network, "class_token"):
        return lambda x: as_map(name, _tokens(network, x), 1)
    trunk = _trunk(network)
    if architecture.startswith(_DENSE):  # its `forward` has a ReLU that is no module
        trunk.append(nn.ReLU())
    before = getattr(network, "_transform_input", None)
    return lambda x: as_map(name, trunk(x if before is None else before(x)), 0)


def _tokens(network: Any, x: Tensor) -> Tensor:
    """Run a vision transformer up to its last layer: the class, then the patches."""
    patches = network._process_input(x)
    first = network.class_token.expand(len(patches), -1, -1)
    y: Tensor = network.encoder(torch.cat([first, patches], dim=1))
    return y


def _trunk(network: nn.Module) -> nn.Sequential:
    """Give what comes before the pooling: the children in order, without training's side heads."""
    before = []
    for name, child in network.named_children():
        if name in _AFTER:
            break
        if not name.lower().startswith("aux"):
            before.append(child)
    return nn.Sequential(*before)
