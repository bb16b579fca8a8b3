"""LSTM-A2 to A5: picture and concepts, each once or at every word (Yao et al. 2017).

    v = mean(S_V), a = mean(S_T) or the concept probabilities
    A2: x_{-2} = T_v v, x_{-1} = T_a a, x_t = w_t    [eq:lstm-a2]
    A3: x_{-2} = T_a a, x_{-1} = T_v v, x_t = w_t    [eq:lstm-a3]
    A4: x_{-1} = T_a a, x_t = w_t + T_v v            [eq:lstm-a4]
    A5: x_{-1} = T_v v, x_t = w_t + T_a a            [eq:lstm-a5]
    h_t = LSTM(x_t), p_t = softmax(W_o h_t + b)      [eq:lstm-a-output]

Names: S_V, S_T are the slots (feed.py). The paper writes T_s w_t with one-hot words: that
product is the row of the word table, called w_t here. What comes before BOS predicts nothing.
Under `combined` both slots hold the same M; T_v and T_a still differ. In the released code,
which has neither on the concepts' side, its two "condition" models then nearly coincide.
Dropout: on F, v and a (`region_dropout`), on w_t alone and on h_t before W_o (`dropout`).
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from miacap.captioners.contract import Forwarded, Trace
from miacap.captioners.feed import Feed, mean_rows
from miacap.captioners.pooling import ConceptVector, PooledSizes, pooled_reads, row_slots
from miacap.captioners.records import MemoryRecord
from miacap.captioners.recurrence import (
    LstmState,
    Recurrence,
    over_words,
    picture_input,
    word_table,
)
from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = ["PLANS", "LstmA", "LstmAMemory", "LstmASizes"]

_SLOTS = ("regions", "concepts")

PLANS = {
    "lstm-a2": (("v", "a"), None),
    "lstm-a3": (("a", "v"), None),
    "lstm-a4": (("a",), "v"),
    "lstm-a5": (("v",), "a"),
}
"""What is read before BOS, in order, and what is added to every word."""


@dataclass(frozen=True)
class LstmASizes(PooledSizes):
    """Sizes of LSTM-A; the paper's are width=1024, word_width=1024."""

    name: str = "lstm-a5"
    words: int = 0
    region_dropout: float | None = 0.0
    """As in NIC: noise on what is read once drowns it."""
    forget_bias: float = 2.0
    """As in NIC: what is read once has to outlast the first words."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name not in PLANS:
            raise ValueError(f"name is one of {', '.join(PLANS)}, not {self.name!r}.")


@dataclass(frozen=True)
class LstmAMemory(MemoryRecord):
    """The picture's two vectors, already as inputs of the LSTM: T_v v and T_a a."""

    v: Float[Tensor, "B E"]
    a: Float[Tensor, "B E"]


class LstmA(nn.Module):
    """The captioners; see the file's equations. `sizes.name` says which."""

    sizes_type = LstmASizes
    sources = ("plain", "regions", "concepts", "combined", "both", "normed")

    @staticmethod
    def reads(sizes: LstmASizes) -> frozenset[str]:
        """Say what moves the logits."""
        return pooled_reads(sizes, _SLOTS)

    def __init__(self, sizes: LstmASizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.before, self.always = PLANS[sizes.name]
        words = sizes.embedding_width
        self.embedding = word_table(sizes.words, words)
        self.feed = Feed(sizes, row_slots(sizes, _SLOTS), self.sources)
        self.vector = ConceptVector(sizes)
        self.image = picture_input(sizes.width, words)
        self.concepts = picture_input(sizes.concept_width, words)
        self.recurrence = Recurrence((words,), sizes.width, sizes.forget_bias)
        self.recurrence.remember()
        self.output = nn.Linear(sizes.width, sizes.words)
        self.dropout = nn.Dropout(sizes.dropout)
        self.pooled_dropout = nn.Dropout(sizes.dropout_of_regions)

    def encode(self, pictures: Pictures) -> LstmAMemory:
        """Project, embed, refine, pool, and map to the LSTM's input."""
        return self._encode(pictures, False)[0]

    def start(self, memory: LstmAMemory, hypotheses: int = 1) -> LstmState:
        """Read what comes before BOS, once per picture."""
        state = self.recurrence.zeros(len(memory))
        for name in self.before:
            drive = self.recurrence.drive(_input(memory, name).unsqueeze(1))
            state = self.recurrence.step(drive, state)
        return state.fan_out(hypotheses)

    def step(
        self, memory: LstmAMemory, state: LstmState, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], LstmState]:
        """Read one word a hypothesis."""
        state = self.recurrence.step(self._drive(memory, words), state)
        return self.output(self.dropout(state.hidden)), state

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read whole captions; the trace holds the refiner's attention alone."""
        memory, steps = self._encode(pictures, trace)
        hidden, _ = self.recurrence.run(self._drive(memory, words), self.start(memory))
        logits: Tensor = self.output(self.dropout(hidden))
        return (logits, Trace(refiner=steps)) if trace else logits

    def _encode(self, pictures: Pictures, trace: bool) -> tuple[LstmAMemory, tuple[StepTrace, ...]]:
        fed = self.feed(pictures, self.embedding.weight, trace)
        concepts = self.vector(fed, pictures).to(self.image.weight.dtype)
        memory = LstmAMemory(
            v=self.image(self.pooled_dropout(mean_rows(fed.regions))),
            a=self.concepts(self.pooled_dropout(concepts)),
        )
        return memory, fed.trace

    def _drive(self, memory: LstmAMemory, words: Int[Tensor, " B *L"]) -> Float[Tensor, "B *L G"]:
        embedded = self.dropout(self.embedding(words))
        if self.always is not None:
            embedded = embedded + over_words(_input(memory, self.always), embedded)
        return self.recurrence.drive(embedded)


def _input(memory: LstmAMemory, name: str) -> Tensor:
    return memory.v if name == "v" else memory.a
