"""EfficientNet-Lite as a network that learns: BatchNorm statistics fixed, early stages too.

stages     stem, seven stages of blocks, head: the last so many learn, those before run without
           gradients
BatchNorm  normalises with the mean and variance that its weights came with, whatever the
           batch; its scale and shift learn with the rest of their stage
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from miacap.errors import SettingsError
from miacap.visual.efficientnet_lite import VARIANTS, EfficientNetLite

STAGES = 9
"""Stem, seven stages of blocks, head."""


class Learning(nn.Module):
    """A network whose last stages learn.

    Args:
        name: a key of `VARIANTS`.
        network: with its weights, not folded.
        stages: how many of the last stages learn, 1 to `STAGES`.

    Raises:
        SettingsError: fewer stages, or more.
    """

    def __init__(self, name: str, network: EfficientNetLite, stages: int = STAGES) -> None:
        super().__init__()
        if not 1 <= stages <= STAGES:
            raise SettingsError(f"stages is 1 to {STAGES}, not {stages}.")
        self.network = network.requires_grad_(False)
        # A plain list: the parts are registered in the network already.
        self._parts = _parts(name, network)
        self._fixed = STAGES - stages
        for part in self._parts[self._fixed :]:
            part.requires_grad_(True)

    def train(self, mode: bool = True) -> "Learning":
        """Change nothing: no layer of the network works otherwise while it learns."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1280 h w"]:
        """Give the map after the head."""
        with torch.no_grad():
            for part in self._parts[: self._fixed]:
                x = part(x)
        for part in self._parts[self._fixed :]:
            x = part(x)
        return x


def rows_of(map: Float[Tensor, "B V h w"]) -> Float[Tensor, "B N V"]:
    """Give the cells of a map, row by row."""
    return map.flatten(2).transpose(1, 2)


def _parts(name: str, network: EfficientNetLite) -> list[nn.Module]:
    parts: list[Any] = [network.stem]
    start = 0
    for stage in VARIANTS[name]:
        parts.append(network.blocks[start : start + stage.depth])
        start += stage.depth
    return [*parts, network.head]
