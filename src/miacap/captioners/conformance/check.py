"""One check of one captioner, and what checks compare with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from miacap.captioners.conformance.drawing import REGION_WIDTH, WORDS, some_pictures
from miacap.captioners.registry import build
from miacap.pictures import Pictures

__all__ = ["Check", "batches", "close"]


@dataclass(frozen=True)
class Check:
    """One promise, for one captioner and one source."""

    captioner: str
    source: str
    what: str
    test: "Callable[[Check], None]"
    sizes: tuple[tuple[str, Any], ...]

    def __call__(self) -> None:
        """Check it; raises AssertionError."""
        self.test(self)

    def __str__(self) -> str:
        return f"{self.captioner}-{self.source}-{self.what}"

    def build(self) -> Any:
        """Build the captioner in eval mode, the same each time."""
        module = self.fresh().eval()
        with torch.no_grad():  # no parameter at a value (0 or 1) that would hide a mistake
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        return module

    def fresh(self) -> Any:
        """Build the captioner as training begins with it, the same each time."""
        torch.manual_seed(1)
        settings = {"words": WORDS, "region_width": REGION_WIDTH, **dict(self.sizes)}
        module = build(self.captioner, self.source, **settings)
        assert isinstance(module, nn.Module), "A captioner is an nn.Module."
        return module.double()


def close(one: Tensor, other: Tensor, sentence: str) -> None:
    """See that two results are one but for the order of sums; raises AssertionError."""
    assert one.shape == other.shape, f"{sentence} Shapes are {one.shape} and {other.shape}."
    gap = (one - other).abs().max().item() if one.numel() else 0.0
    assert gap < 1e-9, f"{sentence} They differ by {gap:.3g}."


def batches(captioner: Any) -> Iterator[Pictures]:
    """Give pictures of unequal rows, and unequal counts where the captioner takes them."""
    yield some_pictures()
    if captioner.sizes.rows == "aligned":
        yield some_pictures(aligned=True)
