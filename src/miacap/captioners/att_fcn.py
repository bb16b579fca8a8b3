"""ATT-FCN: attention over concepts at the input and at the output (You et al. 2016).

    x_0 = W_v mean(S_V)                                        [eq:att-fcn-image]  once
    alpha_t = softmax_i(w_t^T U t_i)                           [eq:att-fcn-in]     "input"
    x_t = W_x (w_t + q_in * sum_i alpha_ti t_i)                [eq:att-fcn-word]
    h_t = LSTM(x_t)
    beta_t = softmax_i(h_t^T W_b tanh(t_i))                    [eq:att-fcn-out]    "output"
    o_t = h_t + q_out * sum_i beta_ti tanh(t_i)                [eq:att-fcn-mix]
    p_t = softmax(E W_y o_t)                                   [eq:att-fcn-output] tied to E
    g(A) = [sum_i (sum_t A_ti)^p]^(1/p) + sum_t [sum_i A_ti^q]^(1/q)   [eq:att-fcn-penalty]

Names: t_i are the rows of S_T, the textual slot (feed.py), equal in both attentions; E is
the word table; e = d_h, since rows of MIA are d_h wide and o_t must add up. alpha needs words
alone and beta feeds nothing back: both are taken for all words at once.
Differs from the paper: v is the mean of S_V, which is M under `combined` (`visual` says
otherwise); the penalty is an option of training (`objective.regulariser`, its weight), off unless
asked for, as with 49 concepts it dwarfs the cross-entropy.
Dropout: on F and v (`region_dropout`), on w_t wherever it is read and on o_t (`dropout`).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from miacap.captioners.attention import masked_softmax
from miacap.captioners.contract import Attention, Forwarded, Trace
from miacap.captioners.feed import Feed, mean_rows, modalities
from miacap.captioners.records import MemoryRecord
from miacap.captioners.recurrence import LstmState, Recurrence, picture_input, word_table
from miacap.captioners.settings import FedSizes, check_same_width
from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = ["AttFcn", "AttFcnMemory", "AttFcnSizes", "penalty"]


@dataclass(frozen=True)
class AttFcnSizes(FedSizes):
    """Sizes of ATT-FCN; MIA's are width=512 (the paper's words are 300 wide, untied to rows)."""

    name: str = "att-fcn"
    words: int = 0
    region_dropout: float | None = 0.0
    """As in NIC: noise on what is read once drowns it."""
    forget_bias: float = 2.0
    """As in NIC: what is read once has to outlast the first words."""
    visual: Literal["source", "plain", "none"] = "source"
    """v at t = 0: from the visual slot, from I_0 always, or no image at all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_same_width(self, "compares words with concepts")
        if self.visual != "source" and self.source in ("both", "normed"):
            raise ValueError(
                f"visual={self.visual!r} leaves what {self.source!r} does to the regions unread: "
                "keep visual='source', or choose another source."
            )

    @property
    def adjustable(self) -> str | None:
        """None: words are as wide as rows."""
        return None


@dataclass(frozen=True)
class AttFcnMemory(MemoryRecord):
    """What every word of a picture's captions reads."""

    rows: Float[Tensor, "B R D"]
    mask: Bool[Tensor, "B R"]
    keys: Float[Tensor, "B R D"]
    """U t_i."""
    ends: Float[Tensor, "B R D"]
    """tanh(t_i)."""
    end_keys: Float[Tensor, "B R D"]
    """W_b tanh(t_i)."""
    image: Float[Tensor, "B D"] | None
    """x_0."""


class AttFcn(nn.Module):
    """The captioner; see the file's equations."""

    sizes_type = AttFcnSizes
    sources = ("plain", "concepts", "combined", "both", "normed")

    @staticmethod
    def reads(sizes: AttFcnSizes) -> frozenset[str]:
        """Say what moves the logits."""
        return modalities(sizes, _slots(sizes))

    def __init__(self, sizes: AttFcnSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.width
        self.embedding = word_table(sizes.words, width)
        slots = _slots(sizes)
        self.feed = Feed(sizes, slots, self.sources)
        self.image = picture_input(width, width) if "regions" in slots else None
        # Bilinear scores and the tied output start small: sums over d_h products are loud.
        self.input_key = _quiet(width)
        self.output_key = _quiet(width)
        self.input_share = nn.Parameter(torch.ones(width))
        self.output_share = nn.Parameter(torch.ones(width))
        self.input = nn.Linear(width, width, bias=False)
        self.recurrence = Recurrence((width,), width, sizes.forget_bias)
        self.recurrence.remember()
        self.output = _quiet(width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.pooled_dropout = nn.Dropout(sizes.dropout_of_regions)

    @staticmethod
    def regulariser(trace: Trace, mask: Bool[Tensor, "B C T"]) -> Float[Tensor, "B C"]:
        """Give g(alpha) + g(beta) of each caption ([eq:att-fcn-penalty])."""
        return penalty(trace, mask)

    def encode(self, pictures: Pictures) -> AttFcnMemory:
        """Project, embed, refine, and score the concepts' side."""
        return self._encode(pictures, False)[0]

    def start(self, memory: AttFcnMemory, hypotheses: int = 1) -> LstmState:
        """Read x_0 once per picture ([eq:att-fcn-image])."""
        state = self.recurrence.zeros(len(memory))
        if memory.image is not None:
            state = self.recurrence.step(self.recurrence.drive(memory.image.unsqueeze(1)), state)
        return state.fan_out(hypotheses)

    def step(
        self, memory: AttFcnMemory, state: LstmState, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], LstmState]:
        """Read one word a hypothesis."""
        drive, _ = self._drive(memory, words)
        state = self.recurrence.step(drive, state)
        logits, _ = self._predict(memory, state.hidden)
        return logits, state

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read whole captions; the trace holds "input", "output" and the refiner's attention."""
        memory, steps = self._encode(pictures, trace)
        drive, alpha = self._drive(memory, words.flatten(1, 2))
        hidden, _ = self.recurrence.run(drive.view(*words.shape, -1), self.start(memory))
        logits, beta = self._predict(memory, hidden.flatten(1, 2))
        logits = logits.view(*words.shape, -1)
        if not trace:
            return logits
        over = self.feed.over("concepts")
        shares = {"input": alpha, "output": beta}
        attentions = {
            name: Attention(over, weights.view(*words.shape, -1))
            for name, weights in shares.items()
        }
        return logits, Trace(attentions, refiner=steps)

    def _encode(
        self, pictures: Pictures, trace: bool
    ) -> tuple[AttFcnMemory, tuple[StepTrace, ...]]:
        fed = self.feed(pictures, self.embedding.weight, trace)
        slot, image = fed.concepts, None
        if self.image is not None:
            seen = fed.regions if self.sizes.visual == "source" else fed.projected
            assert seen is not None
            image = self.image(self.pooled_dropout(mean_rows(seen)))
        ends = slot.rows.tanh()
        memory = AttFcnMemory(
            rows=slot.rows,
            mask=slot.mask,
            keys=self.input_key(slot.rows),
            ends=ends,
            end_keys=self.output_key(ends),
            image=image,
        )
        return memory, fed.trace

    def _drive(
        self, memory: AttFcnMemory, words: Int[Tensor, "B Q"]
    ) -> tuple[Float[Tensor, "B Q G"], Float[Tensor, "B Q R"]]:
        embedded = self.dropout(self.embedding(words))
        alpha = _weigh(embedded, memory.keys, memory.mask)
        read = alpha.to(memory.rows.dtype) @ memory.rows
        return self.recurrence.drive(self.input(embedded + self.input_share * read)), alpha

    def _predict(
        self, memory: AttFcnMemory, hidden: Float[Tensor, "B Q D"]
    ) -> tuple[Float[Tensor, "B Q W"], Float[Tensor, "B Q R"]]:
        beta = _weigh(hidden, memory.end_keys, memory.mask)
        read = beta.to(memory.ends.dtype) @ memory.ends
        mixed = self.dropout(hidden + self.output_share * read)
        return nn.functional.linear(self.output(mixed), self.embedding.weight), beta


def penalty(
    trace: Trace, words: Bool[Tensor, "B C T"], p: float = 2.0, q: float = 0.5, eps: float = 1e-6
) -> Float[Tensor, "B C"]:
    """g(alpha) + g(beta) of each caption ([eq:att-fcn-penalty]); 0 for one of padding alone.

    The first term keeps one concept from collecting all attention over a caption, the second
    keeps each word's attention on few concepts. At first it is about T x R a caption, so scale
    it: the paper adds it with weight 1 at 10 concepts.

    Args:
        trace: of `forward(..., trace=True)`; gradients flow through it.
        words: True where a word counts; padding is left out.
        p: exponent of the first term, at least 1.
        q: exponent of the second term, below 1.
        eps: added to a share before the power q, whose slope at 0 is endless.
    """
    spoken = words.any(dim=2)
    total = torch.zeros(words.shape[:2], device=words.device)
    for name in ("input", "output"):
        shares = trace.attentions[name].weights * words.unsqueeze(-1)
        sums = shares.sum(dim=2).pow(p).sum(dim=-1)
        # The root's slope at 0 is endless too: a caption without words never meets it.
        spread = torch.where(spoken, sums, 1.0).pow(1.0 / p) * spoken
        # Rows with a share of exactly 0 are padding: they add nothing, and have no slope.
        powers = torch.where(shares > 0, (shares + eps).pow(q), 0.0)
        sharp = powers.sum(dim=-1).pow(1.0 / q).sum(dim=-1)
        total = total + spread + sharp
    return total


def _slots(sizes: AttFcnSizes) -> tuple[str, ...]:
    return ("concepts",) if sizes.visual == "none" else ("regions", "concepts")


def _weigh(
    query: Float[Tensor, "B Q D"], keys: Float[Tensor, "B R D"], mask: Bool[Tensor, "B R"]
) -> Float[Tensor, "B Q R"]:
    scores = query @ keys.to(query.dtype).transpose(1, 2)
    return masked_softmax(scores, mask.unsqueeze(1))


def _quiet(width: int) -> nn.Linear:
    linear = nn.Linear(width, width, bias=False)
    nn.init.normal_(linear.weight, std=1.0 / width)
    return linear
