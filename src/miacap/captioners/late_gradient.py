"""The gradient of a recurrent weight as one product over all words.

    y_t = d_t + W x_t, t = 1..T   gives   dL/dW = sum_t (dL/dy_t)^T x_t    [eq:late-gradient]

Autograd would add T products of the size of W, one a word. But dL/dy_t is also dL/dd_t, and the
d_t of all words are one tensor, whose gradient is complete when the loop is done: then one
product of all of them with all x_t is the same sum.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["LateGradient"]


class LateGradient:
    """W of one loop: `gather` all d_t first, then take a `product` a word, in order.

    The sum d_t + W x_t must be the only use of each d_t.
    """

    def __init__(self, weight: Float[Tensor, "G X"]) -> None:
        self.weight = weight
        self.inputs: list[Tensor] = []
        kind = weight.device.type
        known = torch.amp.is_autocast_available(kind)  # not so for meta
        half = known and torch.is_autocast_enabled(kind)
        # Cast once, not once a word: autocast remembers parameters alone.
        self.fixed = weight.detach().to(torch.get_autocast_dtype(kind) if half else weight.dtype)

    def gather(self, drives: Float[Tensor, "B C T G"]) -> Float[Tensor, "B C T G"]:
        """Give the d_t of all words, so that W's gradient follows from theirs."""
        result: Tensor = _Gather.apply(drives, self.weight, self.inputs)  # type: ignore[no-untyped-call]
        return result

    def product(self, x: Float[Tensor, "B C X"]) -> Float[Tensor, "B C G"]:
        """W x_t, with no gradient of its own for W."""
        x = x.to(self.fixed.dtype)
        self.inputs.append(x.detach())
        return nn.functional.linear(x, self.fixed)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drives: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        ctx.inputs, ctx.dtype = inputs, weight.dtype
        return drives.view_as(drives)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_drives: Tensor) -> tuple[Tensor, Tensor, None]:
        # The list was filled while the loop ran forward; it is complete by now.
        inputs = torch.stack(ctx.inputs, dim=2).flatten(0, 2)
        gates = to_drives.flatten(0, 2)
        return to_drives, (gates.to(inputs.dtype).T @ inputs).to(ctx.dtype), None
