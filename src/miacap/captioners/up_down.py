"""Up-Down: attention between two LSTMs (Anderson et al. 2018).

    v_i = rows of S_V, vbar = mean(S_V)
    x1_t = [h2_{t-1} ; vbar ; w_t], h1_t = LSTM1(x1_t)     [eq:up-down-attend]
    z_it = u^T tanh(W_va v_i + W_ha h1_t)                  [eq:up-down-score]
    alpha_t = softmax(z_t), vhat_t = sum_i alpha_it v_i    [eq:up-down-weights]  "rows"
    x2_t = [vhat_t ; h1_t], h2_t = LSTM2(x2_t)             [eq:up-down-language]
    p_t = softmax(W_p h2_t + b)                            [eq:up-down-output]

Names: S_V is the visual slot (feed.py). Attention feeds the second LSTM, which feeds the
first: words are read in turn. What does not depend on h is one product over all words: the
words' and the picture's part of x1, the keys W_va v_i, the output; and so are the gradients of
both LSTMs' weights (`late_gradient`), which are joined once for all words; `step`, which reads
one, takes a product for W and one for U.
Differs from the paper: v_i are projected rows, so that sources differ by MIA alone;
`raw_features` attends to the backbone's own rows, as the paper does.
Dropout: on F, unless raw, and vbar (`region_dropout`), on w_t and on h2_t (`dropout`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from miacap.captioners.attention import Additive
from miacap.captioners.contract import Attention, Forwarded, Trace
from miacap.captioners.feed import Fed, Feed, Slot, mean_rows, modalities, raw_rows
from miacap.captioners.late_gradient import LateGradient
from miacap.captioners.records import MemoryRecord, StateRecord
from miacap.captioners.recurrence import LstmState, Recurrence, lstm_cell, over_words, word_table
from miacap.captioners.settings import FedSizes
from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = ["UpDown", "UpDownMemory", "UpDownSizes", "UpDownState"]

_SLOTS = ("regions",)

_Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class UpDownSizes(FedSizes):
    """Sizes of Up-Down; the paper's are width=1000, word_width=1000, dropout=0."""

    name: str = "up-down"
    words: int = 0
    scorer: int = 512
    """Width of W_va and W_ha."""
    raw_features: bool = False
    """Attend to the backbone's rows without a projection; under `plain` alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.raw_features and self.source != "plain":
            raise ValueError(
                f"raw_features goes with source='plain': {self.source!r} needs projected rows."
            )

    @property
    def row_width(self) -> int:
        """Width of v_i."""
        return self.region_width if self.raw_features else self.width


@dataclass(frozen=True)
class UpDownMemory(MemoryRecord):
    """What every word of a picture's captions reads."""

    rows: Float[Tensor, "B R D"]
    mask: Bool[Tensor, "B R"]
    keys: Float[Tensor, "B R S"]
    drive: Float[Tensor, "B G"]
    """vbar's part of the first LSTM's input product."""


@dataclass(frozen=True)
class UpDownState(StateRecord):
    """Both LSTMs' states."""

    attend: LstmState
    language: LstmState


class UpDown(nn.Module):
    """The captioner; see the file's equations."""

    sizes_type = UpDownSizes
    sources = ("plain", "regions", "combined", "both", "concatenated", "normed")

    @staticmethod
    def reads(sizes: UpDownSizes) -> frozenset[str]:
        """Say what moves the logits."""
        return modalities(sizes, _SLOTS)

    def __init__(self, sizes: UpDownSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, rows, words = sizes.width, sizes.row_width, sizes.embedding_width
        self.embedding = word_table(sizes.words, words)
        self.feed = None if sizes.raw_features else Feed(sizes, _SLOTS, self.sources)
        # The parts of x1 that need no state come first: they are driven ahead of time.
        self.attend = Recurrence((words, rows, width), width, sizes.forget_bias)
        self.language = Recurrence((rows, width), width, sizes.forget_bias)
        self.attention = Additive(rows, width, sizes.scorer)
        self.output = nn.Linear(width, sizes.words)
        self.dropout = nn.Dropout(sizes.dropout)
        self.pooled_dropout = nn.Dropout(sizes.dropout_of_regions)

    def encode(self, pictures: Pictures) -> UpDownMemory:
        """Project, refine, pool, and score the rows' side."""
        return self._encode(pictures, False, self.attend.columns())[0]

    def start(self, memory: UpDownMemory, hypotheses: int = 1) -> UpDownState:
        """Zero states: nothing comes before BOS."""
        pictures = len(memory)
        zeros = UpDownState(self.attend.zeros(pictures), self.language.zeros(pictures))
        return zeros.fan_out(hypotheses)

    def step(
        self, memory: UpDownMemory, state: UpDownState, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], UpDownState]:
        """Read one word a hypothesis."""
        columns = self.attend.columns()
        drive = self._drive(memory, words, columns)
        # Weights are read where they stand: joining 20 million of them costs more than the
        # product with one word a hypothesis.
        state, _ = self._turn(
            memory,
            drive,
            state,
            self.language.bias,
            partial(_apart, self.attend),
            partial(_apart, self.language),
        )
        return self.output(self.dropout(state.language.hidden)), state

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read whole captions; the trace holds "rows" and the refiner's attention."""
        columns = self.attend.columns()
        memory, steps = self._encode(pictures, trace, columns)
        attend, language = self._weights(columns)
        drive = self._drive(memory, words, columns)
        bias = self.language.bias.expand(*words.shape, -1)
        products: tuple[_Product, _Product] = (
            partial(nn.functional.linear, weight=attend),
            partial(nn.functional.linear, weight=language),
        )
        if not torch.compiler.is_compiling():  # compilers derive the loop themselves
            late = LateGradient(attend), LateGradient(language)
            drive, bias = late[0].gather(drive), late[1].gather(bias)
            products = late[0].product, late[1].product
        state, hidden, weights = self.start(memory, words.shape[1]), [], []
        for driven, biased in zip(drive.unbind(2), bias.unbind(2), strict=True):
            state, alpha = self._turn(memory, driven, state, biased, *products)
            hidden.append(state.language.hidden)
            weights.append(alpha)
        logits: Tensor = self.output(self.dropout(torch.stack(hidden, dim=2)))
        if not trace:
            return logits
        over = "regions" if self.feed is None else self.feed.over("regions")
        attention = Attention(over, torch.stack(weights, dim=2))
        return logits, Trace({"rows": attention}, refiner=steps)

    def _encode(
        self, pictures: Pictures, trace: bool, columns: tuple[Tensor, ...]
    ) -> tuple[UpDownMemory, tuple[StepTrace, ...]]:
        if self.feed is None:
            rows = raw_rows(pictures, self.sizes.region_width)
            fed = Fed(Slot(rows.to(self.output.weight.dtype), pictures.region_mask), None)
        else:
            fed = self.feed(pictures, self.embedding.weight, trace)
        slot = fed.regions
        memory = UpDownMemory(
            rows=slot.rows,
            mask=slot.mask,
            keys=self.attention.keys(slot.rows),
            drive=self.attend.drive(self.pooled_dropout(mean_rows(slot)), 1, columns[1]),
        )
        return memory, fed.trace

    def _drive(
        self, memory: UpDownMemory, words: Int[Tensor, " B *L"], columns: tuple[Tensor, ...]
    ) -> Float[Tensor, "B *L G"]:
        drive = self.attend.drive(self.dropout(self.embedding(words)), 0, columns[0])
        return drive + over_words(memory.drive, drive)

    def _weights(
        self, columns: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "G X"], Float[Tensor, "G Y"]]:
        """Each LSTM's weights of what changes from word to word, side by side: one product."""
        language = self.language
        return (
            torch.cat([columns[-1], self.attend.hidden], dim=1),
            torch.cat([language.inputs, language.hidden], dim=1),
        )

    def _turn(
        self,
        memory: UpDownMemory,
        drive: Float[Tensor, "B K G"],
        state: UpDownState,
        bias: Tensor,
        attend: _Product,
        language: _Product,
    ) -> tuple[UpDownState, Float[Tensor, "B K R"]]:
        """One word: attend, then speak; the last two give each LSTM's gates from what changes."""
        first = torch.cat([state.language.hidden, state.attend.hidden], dim=-1)
        attended = lstm_cell(drive + attend(first), state.attend)
        weights = self.attention.weigh(attended.hidden, memory.keys, memory.mask)
        context = weights.to(memory.rows.dtype) @ memory.rows
        second = torch.cat([context, attended.hidden, state.language.hidden], dim=-1)
        return UpDownState(attended, lstm_cell(bias + language(second), state.language)), weights


def _apart(layer: Recurrence, x: Float[Tensor, "B K X"]) -> Float[Tensor, "B K G"]:
    """Multiply a layer's weights with x, whose last part is h: a product for W and one for U."""
    read, hidden = x[..., : -layer.width], x[..., -layer.width :]
    columns = layer.inputs[:, -read.shape[-1] :]
    return nn.functional.linear(read, columns) + nn.functional.linear(hidden, layer.hidden)
