"""Att-CNN+LSTM: concepts once, then words (Wu et al. 2016).

    a = mean(S_T), or the concept probabilities  [eq:att-cnn-concepts]
    x_{-1} = W_ea a                              [eq:att-cnn-input]  before BOS, no prediction
    x_t = w_t, h_t = LSTM(x_t)
    p_t = softmax(W_o h_t + b)                   [eq:att-cnn-output]

Names: S_T is the textual slot (feed.py). No visual feature reaches the decoder.
Differs from the paper: a is the mean of the concepts' word vectors, as in MIA's own baseline,
so that sources differ by MIA alone; concept_input="probabilities" is the original's a. Under
`combined` S_T is M, as S_V is for NIC: the two are then one and the same model.
Dropout: on a (`region_dropout`), on w_t and on h_t before W_o (`dropout`).
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from miacap.captioners.contract import Forwarded, Trace
from miacap.captioners.feed import Feed
from miacap.captioners.pooling import ConceptVector, PooledSizes, pooled_reads, row_slots
from miacap.captioners.records import MemoryRecord
from miacap.captioners.recurrence import LstmState, Recurrence, picture_input, word_table
from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = ["AttCnn", "AttCnnMemory", "AttCnnSizes"]

_SLOTS = ("concepts",)


@dataclass(frozen=True)
class AttCnnSizes(PooledSizes):
    """Sizes of Att-CNN+LSTM; MIA's are width=512 (the original's are not known)."""

    name: str = "att-cnn-lstm"
    words: int = 0
    region_dropout: float | None = 0.0
    """As in NIC: noise on what is read once drowns it."""
    forget_bias: float = 2.0
    """As in NIC: what is read once has to outlast the first words."""


@dataclass(frozen=True)
class AttCnnMemory(MemoryRecord):
    """a, the picture's concepts as one vector."""

    concepts: Float[Tensor, "B A"]


class AttCnn(nn.Module):
    """The captioner; see the file's equations."""

    sizes_type = AttCnnSizes
    sources = ("plain", "concepts", "combined")

    @staticmethod
    def reads(sizes: AttCnnSizes) -> frozenset[str]:
        """Say what moves the logits."""
        return pooled_reads(sizes, _SLOTS)

    def __init__(self, sizes: AttCnnSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = word_table(sizes.words, sizes.embedding_width)
        self.feed = Feed(sizes, row_slots(sizes, _SLOTS), self.sources)
        self.vector = ConceptVector(sizes)
        self.concepts = picture_input(sizes.concept_width, sizes.embedding_width)
        self.recurrence = Recurrence((sizes.embedding_width,), sizes.width, sizes.forget_bias)
        self.recurrence.remember()
        self.output = nn.Linear(sizes.width, sizes.words)
        self.dropout = nn.Dropout(sizes.dropout)
        self.pooled_dropout = nn.Dropout(sizes.dropout_of_regions)

    def encode(self, pictures: Pictures) -> AttCnnMemory:
        """Embed, refine and pool."""
        return self._encode(pictures, False)[0]

    def start(self, memory: AttCnnMemory, hypotheses: int = 1) -> LstmState:
        """Read x_{-1} once per picture ([eq:att-cnn-input])."""
        first = self.concepts(self.pooled_dropout(memory.concepts)).unsqueeze(1)
        before = self.recurrence.step(
            self.recurrence.drive(first), self.recurrence.zeros(len(memory))
        )
        return before.fan_out(hypotheses)

    def step(
        self, memory: AttCnnMemory, state: LstmState, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], LstmState]:
        """Read one word a hypothesis."""
        state = self.recurrence.step(self._drive(words), state)
        return self.output(self.dropout(state.hidden)), state

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read whole captions; the trace holds the refiner's attention alone."""
        memory, steps = self._encode(pictures, trace)
        hidden, _ = self.recurrence.run(self._drive(words), self.start(memory))
        logits: Tensor = self.output(self.dropout(hidden))
        return (logits, Trace(refiner=steps)) if trace else logits

    def _drive(self, words: Int[Tensor, " B *L"]) -> Float[Tensor, "B *L G"]:
        return self.recurrence.drive(self.dropout(self.embedding(words)))

    def _encode(
        self, pictures: Pictures, trace: bool
    ) -> tuple[AttCnnMemory, tuple[StepTrace, ...]]:
        fed = self.feed(pictures, self.embedding.weight, trace)
        return AttCnnMemory(self.vector(fed, pictures).to(self.output.weight.dtype)), fed.trace
