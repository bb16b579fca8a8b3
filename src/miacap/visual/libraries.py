"""The lazy door to timm's and torchvision's networks, for people who have them installed.

Both may fetch weights from their hubs at first use, as they do for anybody who names one.
"""

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from miacap import devices
from miacap.devices import Device
from miacap.errors import MissingExtra, RunError, UnknownName
from miacap.visual.backbone import Backbone
from miacap.weights import checksum

Triple = tuple[float, float, float]


class Library:
    """Another library's network, float32, without gradients.

    Args:
        name: "timm:NAME" or "torchvision:NAME".
        network: the module, of which only `features` is run.
        features: gives the last map, B x V x h x w.
        mean, std: how the network wants its input normalised.
        device: where it runs.
    """

    def __init__(
        self, name: str, network: nn.Module, features: Callable[[Tensor], Tensor],
        mean: Triple, std: Triple, device: Device,
    ) -> None:  # fmt: skip
        self.name, self.mean, self.std = name, mean, std
        self.device = devices.choose(device)
        self.weights_sha256 = checksum(network.state_dict())
        network.requires_grad_(False).eval().to(self.device)
        self._features = features
        # 224 is the one size that fixed-size transformers take as well.
        try:
            self.width = int(self.map(torch.zeros(1, 3, 224, 224)).shape[1])
        except RuntimeError as error:
            raise RunError(
                f"The backbone {name} gives no map of cells for a photo of 224 x 224 "
                f"({str(error)[:120]}); choose another."
            ) from None

    @torch.inference_mode()
    def map(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B V h w"]:
        """Give the last feature map."""
        return self._features(x.to(self.device, memory_format=torch.channels_last))


def load(library: str, name: str, device: Device = "auto") -> Backbone:
    """Give `timm:NAME` or `torchvision:NAME`.

    Raises:
        MissingExtra: the library is not installed.
        RunError: it is installed and does not import, cannot get its weights, or has no map.
        UnknownName: it has no such network.
    """
    module = _import(library, name)
    return _timm(module, name, device) if library == "timm" else _torchvision(module, name, device)


def _import(library: str, name: str) -> Any:
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError:  # timm imports torchvision: either may be the missing one
        raise MissingExtra("backbones", f"The backbone {library}:{name}") from None
    except Exception as error:  # a torchvision built for another torch fails in its own ways
        raise RunError(
            f"The backbone {library}:{name}: {library} is installed but does not import "
            f"({error}). Install builds of torch and torchvision that belong together."
        ) from None


def _timm(timm: Any, name: str, device: Device) -> Backbone:
    _require_known("timm", name, timm.list_models())
    full = f"timm:{name}"
    network = _fetched(full, lambda: timm.create_model(name, pretrained=True))
    data: Mapping[str, Any] = timm.data.resolve_model_data_config(network)

    trunk: Any = network.forward_features
    prefix = int(getattr(network, "num_prefix_tokens", 0))

    def features(x: Tensor) -> Tensor:
        return _as_map(full, trunk(x), prefix, network)

    return Library(full, network, features, _triple(data["mean"]), _triple(data["std"]), device)


def _torchvision(torchvision: Any, name: str, device: Device) -> Backbone:
    models = torchvision.models
    _require_known("torchvision", name, models.list_models(module=models))
    full = f"torchvision:{name}"
    weights = models.get_model_weights(name).DEFAULT
    network = _fetched(full, lambda: models.get_model(name, weights=weights))
    transforms = weights.transforms()
    trunk = _trunk(network)

    def features(x: Tensor) -> Tensor:
        y: Tensor = trunk(x)
        return _as_map(full, y, 0, network)

    mean, std = _triple(transforms.mean), _triple(transforms.std)
    return Library(full, network, features, mean, std, device)


def _trunk(network: nn.Module) -> nn.Module:
    """Give what comes before the pooling: the children in order, without training's side heads."""
    before = []
    for name, child in network.named_children():
        if name in ("avgpool", "fc", "classifier", "head", "heads"):
            break
        if not name.lower().startswith("aux"):
            before.append(child)
    return nn.Sequential(*before)


def _require_known(library: str, name: str, known: Sequence[str]) -> None:
    if name not in known:  # they know hundreds: only the likeliest are named
        likely = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
        raise UnknownName(f"backbone in {library}", name, likely or known[:5])


def _fetched(name: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except Exception as error:  # hubs, caches and files fail in many ways
        raise RunError(f"The backbone {name}: its weights could not be had ({error}).") from None


def _as_map(name: str, y: Tensor, prefix: int, network: nn.Module) -> Tensor:
    """Turn tokens and channels-last maps into B x V x h x w."""
    if y.ndim == 3:
        tokens = y[:, prefix:]
        side = round(tokens.shape[1] ** 0.5)
        if side * side == tokens.shape[1]:
            return tokens.transpose(1, 2).reshape(len(y), -1, side, side)
    elif y.ndim == 4:
        channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        return y.permute(0, 3, 1, 2) if channels_last else y
    raise RunError(
        f"The backbone {name} gives features of shape {tuple(y.shape)}, which are no map of cells; "
        "choose another."
    )


def _triple(values: Any) -> Triple:
    first, second, third = (float(value) for value in values)
    return first, second, third
