"""Networks of other libraries as backbones: what they share, whichever library they come from.

Each library has a file that finds a network's weights and its last map: `from_timm`,
`from_torchvision`, `huggingface`. Weights come from a file that a person names, from the
library's cache, or, where that is allowed, from its hub.
"""

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from miacap import devices
from miacap.devices import Device
from miacap.errors import MissingExtra, RunError, UnknownName
from miacap.weights import checksum, read_tensors

TORCHVISION = "torchvision:"
"""What names of its networks begin with."""

Triple = tuple[float, float, float]
N = TypeVar("N", bound=nn.Module)
C = TypeVar("C", bound=Path | None)
_SIDE = 224
"""The one size that fixed-size transformers take as well."""
_LONGEST = 300


class NotFinite(RunError):
    """A backbone's map holds NaN or infinity."""


class Library:
    """Another library's network, float32, without gradients.

    Args:
        name: "timm:NAME", "torchvision:NAME" or "hf:NAME".
        network: the module, of which only `features` is run.
        features: gives the last map, B x V x h x w.
        mean, std: how the network wants its input normalised.
        device: where it runs.
        preparation: what else of a record it has values of its own for ("size", ...).
        weights_sha256: of its weights, where they are not known by their tensors.

    Raises:
        NotFinite: its map holds NaN or infinity.
        RunError: it gives no map, or another one each time.
    """

    def __init__(
        self, name: str, network: nn.Module, features: Callable[[Tensor], Tensor],
        mean: Triple, std: Triple, device: Device, *,
        preparation: Mapping[str, Any] | None = None, weights_sha256: str | None = None,
    ) -> None:  # fmt: skip
        self.name, self.mean, self.std = name, mean, std
        self.preparation: Mapping[str, Any] = dict(preparation or {})
        self.device = devices.choose(device)
        self.weights_sha256 = weights_sha256 or checksum(network.state_dict())
        network.requires_grad_(False).eval().to(self.device)
        self._features = features
        self.width = self._probe()

    @torch.inference_mode()
    def map(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B V h w"]:
        """Give the last feature map. Raises RunError for photos of a size that it does not take."""
        try:
            return self._features(x.to(self.device, memory_format=torch.channels_last))
        except (ValueError, AssertionError) as error:
            raise RunError(
                f"The backbone {self.name} takes no photos of {x.shape[-2]} x {x.shape[-1]} "
                f"({str(error).partition(chr(10))[0][:120]}); choose another size."
            ) from None

    def _probe(self) -> int:
        size = self.preparation.get("size", _SIDE)
        height, width = (size, size) if isinstance(size, int) else size
        blank = torch.zeros(1, 3, height, width)
        try:
            own, again = self.map(blank), self.map(blank)
        except RuntimeError as error:
            raise RunError(
                f"The backbone {self.name} gives no map of cells for a photo of {height} x {width} "
                f"({str(error)[:120]}); choose another."
            ) from None
        if not bool(torch.isfinite(own).all()):
            raise NotFinite(f"The backbone {self.name} gives numbers that are not finite.")
        if not torch.equal(own, again):
            raise RunError(
                f"The backbone {self.name} gives other numbers each time that it sees a photo; "
                "choose another."
            )
        return int(own.shape[1])


def imported(library: str, name: str) -> Any:
    """Import a library. Raises MissingExtra, or RunError where it is there and does not import."""
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError:  # timm imports torchvision: either may be the missing one
        raise MissingExtra("backbones", f"The backbone {library}:{name}") from None
    except Exception as error:  # a torchvision built for another torch fails in its own ways
        raise RunError(
            f"The backbone {library}:{name}: {library} is installed but does not import "
            f"({error}). Install builds of torch and torchvision that belong together."
        ) from None


def require_known(library: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that a library does not have, with the likeliest ones that it has."""
    if name not in known:  # they know hundreds
        likely = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
        raise UnknownName(f"backbone in {library}", name, likely or known[:5])


def not_here(name: str) -> RunError:
    """Say that weights are not on this machine, and how to come by them."""
    return RunError(
        f"The backbone {name}: its weights are not on this machine. Name their file (--weights "
        "FILE, or MIACAP_WEIGHTS=FILE), or let them be fetched where a command has "
        "--allow-download."
    )


def other_weights(name: str, found: str, wanted: str) -> RunError:
    """Say that the weights that are here are not those of a record."""
    return RunError(
        f"The weights of {name} are others than those that made these regions (SHA-256 "
        f"{found[:12]}, not {wanted[:12]}). Name the file of the same ones: --weights FILE, or "
        "MIACAP_WEIGHTS=FILE."
    )


def first_fitting(
    name: str, candidates: Iterable[C], fill: Callable[[C], N],
    wanted: str | None,
) -> N:  # fmt: skip
    """Give the network with the weights of the first file that holds them.

    Args:
        name: of the network, for messages.
        candidates: files of weights, the likeliest first; None stands for what the library
            fetches itself.
        fill: builds the network with the weights of one.
        wanted: checksum that the network's tensors have to have; None takes the first file.

    Raises:
        RunError: no candidate; the first file does not hold this network's weights, where no
            checksum is wanted; or none of them has the checksum.
    """
    other: str | None = None
    wrong: RunError | None = None
    for path in candidates:
        try:
            network = fill(path)
        except RunError as error:
            if wanted is None:
                raise
            wrong = wrong or error
            continue
        if wanted is None:
            return network
        found = checksum(network.state_dict())
        if found == wanted:
            return network
        other = other or found
    if wanted is not None and other is not None:
        raise other_weights(name, other, wanted)
    raise wrong or not_here(name)


def read_file(path: Path) -> Mapping[str, Tensor]:
    """Read a file of weights: safetensors, or what torch saved, of which tensors alone are read.

    Weights inside a checkpoint ("state_dict", "model") are taken out of it.

    Raises:
        RunError: no such file, or not one of tensors.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged or hostile files
        raise RunError(f"{path.name}: not a file of weights ({str(error)[:80]}).") from None
    for name in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise RunError(f"{path.name}: not a file of weights (it holds other things than tensors).")
    return content


def filled(name: str, path: Path, fill: Callable[[], Any]) -> Any:
    """Do what fills a network with the tensors of a file; torch's list of keys is told in short.

    Raises:
        RunError: keys that are missing, not expected or of another shape.
    """
    try:
        return fill()
    except RuntimeError as error:
        lines = [" ".join(line.split()) for line in str(error).splitlines()[1:] if line.strip()]
        text = " ".join(lines) or str(error)
        short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        raise RunError(f"The backbone {name}: {path} holds not its weights: {short}") from None


def as_map(name: str, y: Tensor, prefix: int, *, channels_last: bool = False) -> Tensor:
    """Turn tokens of a square, and maps with their channels last, into B x V x h x w."""
    if y.ndim == 3:
        tokens = y[:, prefix:]
        side = round(tokens.shape[1] ** 0.5)
        if side * side == tokens.shape[1]:
            return tokens.transpose(1, 2).reshape(len(y), -1, side, side)
    elif y.ndim == 4:
        return y.permute(0, 3, 1, 2) if channels_last else y
    raise RunError(
        f"The backbone {name} gives features of shape {tuple(y.shape)}, which are no map of cells; "
        "choose another."
    )


def triple(values: Any) -> Triple:
    """Give three numbers."""
    first, second, third = (float(value) for value in values)
    return first, second, third
