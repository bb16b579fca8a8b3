"""Spatial-Attention: attend after the LSTM, with its hidden state (Lu et al. 2017).

    v_i = rows of S_V                        [eq:spatial-rows]
    v^g = ReLU(W_b mean(S_V) + b)            [eq:spatial-global]
    x_t = [w_t ; v^g], h_t = LSTM(x_t)       [eq:spatial-input]
    z_t = u^T tanh(W_v V + (W_g h_t) 1^T)    [eq:spatial-score]
    alpha_t = softmax(z_t)                   [eq:spatial-weights]  Trace.attentions["rows"]
    ctx_t = sum_i alpha_ti v_i               [eq:spatial-context]  not fed back
    p_t = softmax(W_p (ctx_t + h_t) + b)     [eq:spatial-output]

Names: S_V is the visual slot (feed.py). As attention feeds nothing back, all words of a
caption are attended for at once.
Differs from the paper: v_i and v^g come from the same projected rows, so that no raw feature
passes by MIA; the scorer's width is a constant (49) where the paper ties it to k.
Dropout: on F and mean(S_V) (`region_dropout`), on w_t and on ctx_t + h_t (`dropout`).
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from miacap.captioners.attention import Additive
from miacap.captioners.contract import Attention, Forwarded, Trace
from miacap.captioners.feed import Feed, mean_rows, modalities
from miacap.captioners.records import MemoryRecord
from miacap.captioners.recurrence import LstmState, Recurrence, over_words, word_table
from miacap.captioners.settings import FedSizes
from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = ["Spatial", "SpatialMemory", "SpatialSizes"]

_SLOTS = ("regions",)


@dataclass(frozen=True)
class SpatialSizes(FedSizes):
    """Sizes of Spatial-Attention; the paper's are width=512, word_width=512."""

    name: str = "spatial-attention"
    words: int = 0
    scorer: int = 49
    """Width of W_v and W_g: 49 in the paper, 512 in its authors' code."""


@dataclass(frozen=True)
class SpatialMemory(MemoryRecord):
    """What every word of a picture's captions reads."""

    rows: Float[Tensor, "B R D"]
    mask: Bool[Tensor, "B R"]
    keys: Float[Tensor, "B R S"]
    drive: Float[Tensor, "B G"]
    """v^g's part of the LSTM's input product, the same at every word."""


class Spatial(nn.Module):
    """The captioner; see the file's equations."""

    sizes_type = SpatialSizes
    sources = ("plain", "regions", "combined", "both", "concatenated", "normed")

    @staticmethod
    def reads(sizes: SpatialSizes) -> frozenset[str]:
        """Say what moves the logits."""
        return modalities(sizes, _SLOTS)

    def __init__(self, sizes: SpatialSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = word_table(sizes.words, sizes.embedding_width)
        self.feed = Feed(sizes, _SLOTS, self.sources)
        self.pooled = nn.Linear(sizes.width, sizes.width)
        self.recurrence = Recurrence(
            (sizes.embedding_width, sizes.width), sizes.width, sizes.forget_bias
        )
        self.attention = Additive(sizes.width, sizes.width, sizes.scorer)
        self.output = nn.Linear(sizes.width, sizes.words)
        self.dropout = nn.Dropout(sizes.dropout)
        self.pooled_dropout = nn.Dropout(sizes.dropout_of_regions)

    def encode(self, pictures: Pictures) -> SpatialMemory:
        """Project, refine, pool, and score the rows' side."""
        return self._encode(pictures, False)[0]

    def start(self, memory: SpatialMemory, hypotheses: int = 1) -> LstmState:
        """Zero state: nothing comes before BOS."""
        return self.recurrence.zeros(len(memory)).fan_out(hypotheses)

    def step(
        self, memory: SpatialMemory, state: LstmState, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], LstmState]:
        """Read one word a hypothesis."""
        state = self.recurrence.step(self._drive(memory, words), state)
        logits, _ = self._predict(memory, state.hidden)
        return logits, state

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read whole captions; the trace holds "rows" and the refiner's attention."""
        memory, steps = self._encode(pictures, trace)
        hidden, _ = self.recurrence.run(self._drive(memory, words), self.start(memory))
        logits, weights = self._predict(memory, hidden.flatten(1, 2))
        logits = logits.view(*words.shape, -1)
        if not trace:
            return logits
        attention = Attention(self.feed.over("regions"), weights.view(*words.shape, -1))
        return logits, Trace({"rows": attention}, refiner=steps)

    def _encode(
        self, pictures: Pictures, trace: bool
    ) -> tuple[SpatialMemory, tuple[StepTrace, ...]]:
        fed = self.feed(pictures, self.embedding.weight, trace)
        slot = fed.regions
        pooled = self.pooled(self.pooled_dropout(mean_rows(slot))).relu()
        memory = SpatialMemory(
            rows=slot.rows,
            mask=slot.mask,
            keys=self.attention.keys(slot.rows),
            drive=self.recurrence.drive(pooled, part=1),
        )
        return memory, fed.trace

    def _drive(self, memory: SpatialMemory, words: Int[Tensor, " B *L"]) -> Float[Tensor, "B *L G"]:
        drive = self.recurrence.drive(self.dropout(self.embedding(words)))
        return drive + over_words(memory.drive, drive)

    def _predict(
        self, memory: SpatialMemory, hidden: Float[Tensor, "B Q D"]
    ) -> tuple[Float[Tensor, "B Q W"], Float[Tensor, "B Q R"]]:
        weights = self.attention.weigh(hidden, memory.keys, memory.mask)
        context = weights.to(memory.rows.dtype) @ memory.rows
        return self.output(self.dropout(context + hidden)), weights
