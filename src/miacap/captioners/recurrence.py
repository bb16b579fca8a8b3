"""One LSTM layer, a word at a time or whole captions at once.

    i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b)   [eq:lstm-gates]
    c' = f * c + i * g                                          [eq:lstm-cell]
    h' = o * tanh(c')                                           [eq:lstm-hidden]

Names: W is `inputs`, U is `hidden`, b is `bias`; their rows come as i, f, o, g.
W x + b of all words is one product ("drive" below), so only U h is left to the loop over time;
its derivative is written out by hand, so that U's gradient is one product over all words too.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from miacap.captioners.records import StateRecord

__all__ = [
    "LstmState",
    "Recurrence",
    "lstm_cell",
    "over_words",
    "picture_input",
    "word_table",
]


@dataclass(frozen=True)
class LstmState(StateRecord):
    """h and c of every hypothesis."""

    hidden: Float[Tensor, "B K D"]
    cell: Float[Tensor, "B K D"]


class Recurrence(nn.Module):
    """An LSTM layer; zero state before the first input.

    Args:
        parts: widths of what the input x is put together from, e.g. word and picture.
        width: width of h and c.
        forget_bias: added to the forget gate's initial bias.
    """

    def __init__(self, parts: Sequence[int], width: int, forget_bias: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.parts = tuple(parts)
        self.inputs = nn.Parameter(torch.empty(4 * width, sum(parts)))
        self.hidden = nn.Parameter(torch.empty(4 * width, width))
        self.bias = nn.Parameter(torch.empty(4 * width))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)
        with torch.no_grad():
            self.bias[width : 2 * width] += forget_bias

    def remember(self) -> None:
        """Begin with recurrent weights that keep what was read: one orthogonal matrix a gate.

        For captioners that read the picture once, before BOS (Saxe et al. 2014).
        """
        for weight in self.hidden.data.chunk(4):
            nn.init.orthogonal_(weight)

    def columns(self) -> tuple[Tensor, ...]:
        """Give W's columns of each part. Taken once, their gradients are put together once."""
        return torch.split_with_sizes(self.inputs, list(self.parts), dim=1)

    def drive(
        self, x: Float[Tensor, "*L E"], part: int = 0, columns: Tensor | None = None
    ) -> Float[Tensor, "*L G"]:
        """W x of one part of the input; the first part brings b along.

        `columns` are W's of this part where the caller has them already.
        """
        columns = self.columns()[part] if columns is None else columns
        return nn.functional.linear(x, columns, self.bias if part == 0 else None)

    def zeros(self, pictures: int) -> LstmState:
        """Give the state before the first input, one hypothesis a picture."""
        zeros = self.hidden.new_zeros(pictures, 1, self.width)
        return LstmState(zeros, zeros)

    def step(self, drive: Float[Tensor, "B K G"], state: LstmState) -> LstmState:
        """Read one input a hypothesis; `drive` is the sum over all parts."""
        gates = drive + nn.functional.linear(state.hidden, self.hidden)
        return lstm_cell(gates, state)

    def run(
        self, drive: Float[Tensor, "B C T G"], state: LstmState
    ) -> tuple[Float[Tensor, "B C T D"], Float[Tensor, "B C T D"]]:
        """Read whole captions from one state a picture; give every h and every c."""
        shape = drive.shape[:2]
        wide = state.fan_out(shape[1])
        if torch.compiler.is_compiling():  # compilers and exporters derive the loop themselves
            return self._stepped(drive, wide)
        hidden, cells = _Run.apply(  # type: ignore[no-untyped-call]
            drive.flatten(0, 1), self.hidden, wide.hidden.flatten(0, 1), wide.cell.flatten(0, 1)
        )
        return hidden.view(*shape, *hidden.shape[1:]), cells.view(*shape, *cells.shape[1:])

    def _stepped(
        self, drive: Float[Tensor, "B C T G"], state: LstmState
    ) -> tuple[Float[Tensor, "B C T D"], Float[Tensor, "B C T D"]]:
        """Do what `run` does, in steps of plain operations."""
        states: list[LstmState] = []
        for now in drive.unbind(2):
            state = self.step(now, state)
            states.append(state)
        return (
            torch.stack([state.hidden for state in states], dim=2),
            torch.stack([state.cell for state in states], dim=2),
        )


def lstm_cell(gates: Float[Tensor, "B K G"], state: LstmState) -> LstmState:
    """[eq:lstm-cell] and [eq:lstm-hidden], from W x + U h + b."""
    width = state.cell.shape[-1]
    # Half-precision gates (autocast) still add up in the cell's own precision.
    gates = gates.to(state.cell.dtype)
    i, f, o = gates[..., : 3 * width].sigmoid().chunk(3, dim=-1)
    cell = f * state.cell + i * gates[..., 3 * width :].tanh()
    return LstmState(o * cell.tanh(), cell)


class _Run(torch.autograd.Function):
    """The loop over time of R captions: drive R x T x 4D, U 4D x D, state R x D."""

    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, hidden_weight: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        half = drive.dtype in (torch.float16, torch.bfloat16)
        # Products in the drive's precision, sums over time in single precision at least.
        gates = drive.float() if half else drive.clone()
        weight = hidden_weight.to(drive.dtype)
        width = hidden_weight.shape[1]
        first = (hidden.to(gates.dtype), cell.to(gates.dtype))
        every_hidden = gates.new_empty(*gates.shape[:2], width)
        every_cell = torch.empty_like(every_hidden)
        kind = drive.device.type
        known = torch.amp.is_autocast_available(kind)  # not so for meta
        with torch.autocast(kind, enabled=False) if known else nullcontext():
            hidden, cell = first
            for time in range(gates.shape[1]):
                now = gates[:, time]
                now += hidden.to(weight.dtype) @ weight.T
                i, f, o = now[:, : 3 * width].sigmoid_().chunk(3, dim=1)
                cell = torch.addcmul(f * cell, i, now[:, 3 * width :].tanh_())
                hidden = o * cell.tanh()
                every_cell[:, time], every_hidden[:, time] = cell, hidden
        ctx.save_for_backward(gates, weight, every_hidden, every_cell, *first)
        ctx.dtypes = (drive.dtype, hidden_weight.dtype)
        ctx.set_materialize_grads(False)
        return every_hidden, every_cell

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_hidden: Tensor | None, to_cell: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        gates, weight, every_hidden, every_cell, first_hidden, first_cell = ctx.saved_tensors
        width, times = weight.shape[1], gates.shape[1]
        to_gates = torch.empty_like(gates)
        hidden, cell = torch.zeros_like(first_hidden), torch.zeros_like(first_cell)
        for time in range(times - 1, -1, -1):
            i, f, o, g = gates[:, time].chunk(4, dim=1)
            bent = every_cell[:, time].tanh()
            if to_hidden is not None:
                hidden = hidden + to_hidden[:, time]
            if to_cell is not None:
                cell = cell + to_cell[:, time]
            before = every_cell[:, time - 1] if time else first_cell
            cell = cell + hidden * o * (1 - bent * bent)
            now = to_gates[:, time]
            torch.mul(cell * g, i * (1 - i), out=now[:, :width])
            torch.mul(cell * before, f * (1 - f), out=now[:, width : 2 * width])
            torch.mul(hidden * bent, o * (1 - o), out=now[:, 2 * width : 3 * width])
            torch.mul(cell * i, 1 - g * g, out=now[:, 3 * width :])
            hidden = (now.to(weight.dtype) @ weight).to(gates.dtype)
            cell = cell * f
        read = torch.cat([first_hidden.unsqueeze(1), every_hidden[:, :-1]], dim=1)
        flat = to_gates.flatten(0, 1).to(weight.dtype)
        to_weight = flat.T @ read.flatten(0, 1).to(weight.dtype)
        return to_gates.to(ctx.dtypes[0]), to_weight.to(ctx.dtypes[1]), hidden, cell


def word_table(words: int, width: int) -> nn.Embedding:
    """Make a word table E, uniform within 1 of 0.

    Ten times smaller words leave the gates near 1/2 for thousands of steps, and a picture that
    is read once, before BOS, is forgotten before it can be learned from.
    """
    table = nn.Embedding(words, width)
    nn.init.uniform_(table.weight, -1.0, 1.0)
    return table


def picture_input(inputs: int, width: int) -> nn.Linear:
    """Make the linear map of a pooled picture to an LSTM's input, as loud as a word vector.

    Pooled rows are small (about 0.25 a number at first), so the weights are not.
    """
    linear = nn.Linear(inputs, width)
    nn.init.normal_(linear.weight, std=6.0 * inputs**-0.5)
    return linear


def over_words(constant: Float[Tensor, "B D"], words: Tensor) -> Float[Tensor, "B *ones D"]:
    """View a picture's constant so that it can be added to each of its words' vectors.

    `words` is B x any axes x D; the constant gets an axis of 1 for each of these.
    """
    return constant.view(constant.shape[0], *(1,) * (words.ndim - 2), constant.shape[1])
