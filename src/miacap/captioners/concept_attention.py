"""Concept attention: the released code's model of the words alone (not ATT-FCN).

    x_t = w_t + mean(S_T), h_t = LSTM(x_t)     [eq:concept-input]
    z_t = u^T tanh(W_t T + (W_g h_t) 1^T)      [eq:concept-score]
    alpha_t = softmax(z_t)                     [eq:concept-weights]  Trace.attentions["rows"]
    ctx_t = sum_i alpha_ti t_i                 [eq:concept-context]
    p_t = softmax(W (ctx_t + h_t) + b)         [eq:concept-output]

Names: S_T is the textual slot (feed.py), t_i its rows; words and rows are equally wide
(e = d_h), since they are added. No image at any step.
Differs from the released code: none of its dropout in the scorer.
Dropout: on w_t alone and on ctx_t + h_t (`dropout`).
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from miacap.captioners.attention import Additive
from miacap.captioners.contract import Attention, Forwarded, Trace
from miacap.captioners.feed import Feed, mean_rows, modalities
from miacap.captioners.records import MemoryRecord
from miacap.captioners.recurrence import LstmState, Recurrence, over_words, word_table
from miacap.captioners.settings import FedSizes, check_same_width
from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = ["ConceptAttention", "ConceptMemory", "ConceptSizes"]

_SLOTS = ("concepts",)


@dataclass(frozen=True)
class ConceptSizes(FedSizes):
    """Sizes of concept attention; the released code's are width=512."""

    name: str = "concept-attention"
    words: int = 0
    scorer: int = 49
    """Width of W_t and W_g."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_same_width(self, "adds words to concepts")

    @property
    def adjustable(self) -> str | None:
        """None: words are as wide as rows."""
        return None


@dataclass(frozen=True)
class ConceptMemory(MemoryRecord):
    """What every word of a picture's captions reads."""

    rows: Float[Tensor, "B R D"]
    mask: Bool[Tensor, "B R"]
    keys: Float[Tensor, "B R S"]
    pooled: Float[Tensor, "B D"]


class ConceptAttention(nn.Module):
    """The captioner; see the file's equations."""

    sizes_type = ConceptSizes
    sources = ("plain", "concepts", "combined")

    @staticmethod
    def reads(sizes: ConceptSizes) -> frozenset[str]:
        """Say what moves the logits."""
        return modalities(sizes, _SLOTS)

    def __init__(self, sizes: ConceptSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.width
        self.embedding = word_table(sizes.words, width)
        self.feed = Feed(sizes, _SLOTS, self.sources)
        self.recurrence = Recurrence((width,), width, sizes.forget_bias)
        self.attention = Additive(width, width, sizes.scorer)
        self.output = nn.Linear(width, sizes.words)
        self.dropout = nn.Dropout(sizes.dropout)

    def encode(self, pictures: Pictures) -> ConceptMemory:
        """Embed, refine, pool, and score the rows' side."""
        return self._encode(pictures, False)[0]

    def start(self, memory: ConceptMemory, hypotheses: int = 1) -> LstmState:
        """Zero state: nothing comes before BOS."""
        return self.recurrence.zeros(len(memory)).fan_out(hypotheses)

    def step(
        self, memory: ConceptMemory, state: LstmState, words: Int[Tensor, "B K"]
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
        attention = Attention(self.feed.over("concepts"), weights.view(*words.shape, -1))
        return logits, Trace({"rows": attention}, refiner=steps)

    def _encode(
        self, pictures: Pictures, trace: bool
    ) -> tuple[ConceptMemory, tuple[StepTrace, ...]]:
        fed = self.feed(pictures, self.embedding.weight, trace)
        slot = fed.concepts
        keys = self.attention.keys(slot.rows)
        return ConceptMemory(slot.rows, slot.mask, keys, mean_rows(slot)), fed.trace

    def _drive(self, memory: ConceptMemory, words: Int[Tensor, " B *L"]) -> Tensor:
        embedded = self.dropout(self.embedding(words))
        return self.recurrence.drive(embedded + over_words(memory.pooled, embedded))

    def _predict(
        self, memory: ConceptMemory, hidden: Float[Tensor, "B Q D"]
    ) -> tuple[Float[Tensor, "B Q W"], Float[Tensor, "B Q R"]]:
        weights = self.attention.weigh(hidden, memory.keys, memory.mask)
        context = weights.to(memory.rows.dtype) @ memory.rows
        return self.output(self.dropout(context + hidden)), weights
