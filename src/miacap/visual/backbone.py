"""What a backbone offers."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Backbone(Protocol):
    """What a backbone offers.

    Attributes:
        name: the name under which `load` gives it again.
        width: channels of its map, V.
        weights_sha256: checksum of its weights.
        mean, std: how it wants its input normalised, per channel, for values in [0, 1].
        device: where it runs; `map` takes its input there.
    """

    name: str
    width: int
    weights_sha256: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    device: torch.device

    def map(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B V h w"]:
        """Give the last feature map, on the device of the weights, without gradients."""
        ...


@runtime_checkable
class WithPreparation(Protocol):
    """A backbone that has values of its own for further settings of a record.

    Attributes:
        preparation: name -> value: the size that it was made for, its filter.
    """

    preparation: Mapping[str, Any]
