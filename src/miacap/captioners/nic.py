"""NIC: the picture once, then words (Vinyals et al. 2015).

    v = mean(S_V)                            [eq:mean]
    x_{-1} = W_i v + b_i                     [eq:nic-image]   before BOS, no prediction
    x_t = w_t                                [eq:nic-word]
    h_t = LSTM(x_t)
    p_t = softmax(W_o h_t + b_o)             [eq:nic-output]

Names: S_V is the visual slot (feed.py); w_t is the t-th input word's row of E.
Differs from the paper: v is the mean of projected rows, so that sources differ by MIA alone;
the LSTM has biases.
Dropout: on F and v (`region_dropout`), on w_t and on h_t before W_o (`dropout`).
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from miacap.captioners.contract import Forwarded, Trace
from miacap.captioners.feed import Feed, mean_rows, modalities
from miacap.captioners.records import MemoryRecord
from miacap.captioners.recurrence import LstmState, Recurrence, picture_input, word_table
from miacap.captioners.settings import FedSizes
from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = ["Nic", "NicMemory", "NicSizes"]

_SLOTS = ("regions",)


@dataclass(frozen=True)
class NicSizes(FedSizes):
    """Sizes of NIC; the paper's are width=512 (d_h) and word_width=512 (e)."""

    name: str = "nic"
    words: int = 0
    region_dropout: float | None = 0.0
    """Noise on a picture that is read once, before BOS, drowns it: learning to look then takes
    many times as long."""
    forget_bias: float = 2.0
    """The picture has to outlast the first words."""


@dataclass(frozen=True)
class NicMemory(MemoryRecord):
    """v, the pooled picture."""

    pooled: Float[Tensor, "B D"]


class Nic(nn.Module):
    """The captioner; see the file's equations."""

    sizes_type = NicSizes
    sources = ("plain", "regions", "combined", "normed")

    @staticmethod
    def reads(sizes: NicSizes) -> frozenset[str]:
        """Say what moves the logits."""
        return modalities(sizes, _SLOTS)

    def __init__(self, sizes: NicSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = word_table(sizes.words, sizes.embedding_width)
        self.feed = Feed(sizes, _SLOTS, self.sources)
        self.image = picture_input(sizes.width, sizes.embedding_width)
        self.recurrence = Recurrence((sizes.embedding_width,), sizes.width, sizes.forget_bias)
        self.recurrence.remember()
        self.output = nn.Linear(sizes.width, sizes.words)
        self.dropout = nn.Dropout(sizes.dropout)
        self.pooled_dropout = nn.Dropout(sizes.dropout_of_regions)

    def encode(self, pictures: Pictures) -> NicMemory:
        """Project, refine and pool."""
        return self._encode(pictures, False)[0]

    def start(self, memory: NicMemory, hypotheses: int = 1) -> LstmState:
        """Read x_{-1} once per picture ([eq:nic-image])."""
        image = self.image(self.pooled_dropout(memory.pooled)).unsqueeze(1)
        before = self.recurrence.step(
            self.recurrence.drive(image), self.recurrence.zeros(len(memory))
        )
        return before.fan_out(hypotheses)

    def step(
        self, memory: NicMemory, state: LstmState, words: Int[Tensor, "B K"]
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

    def _encode(self, pictures: Pictures, trace: bool) -> tuple[NicMemory, tuple[StepTrace, ...]]:
        fed = self.feed(pictures, self.embedding.weight, trace)
        return NicMemory(mean_rows(fed.regions)), fed.trace
