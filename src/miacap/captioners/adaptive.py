"""Adaptive attention: Spatial-Attention that may look away (Lu et al. 2017).

    x_t = [w_t ; v^g], h_t = LSTM(x_t), v^g as in spatial.py
    g_t = sigmoid(W_x x_t + W_h h_{t-1})                [eq:adaptive-gate]
    s_t = g_t * tanh(c_t)                               [eq:adaptive-sentinel]
    z_t = u^T tanh(W_v V + (W_g h_t) 1^T)
    a_t = softmax([z_t ; u^T tanh(W_s s_t + W_g h_t)])  [eq:adaptive-weights]
    beta_t = last entry of a_t                          Trace.gates["sentinel"]
    ctx_t = beta_t s_t + (1 - beta_t) sum_i alpha_ti v_i    [eq:adaptive-context]
    p_t = softmax(W_p (ctx_t + h_t) + b)                [eq:adaptive-output]

Names: alpha_t = softmax(z_t) is Trace.attentions["rows"]; the first k entries of a_t are
(1 - beta_t) alpha_t. MIA's row "Spatial-Attention" is the model without the sentinel.
Dropout: as spatial.py; the gate reads the same dropped w_t as the LSTM.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from miacap.captioners.attention import Additive, masked_softmax
from miacap.captioners.contract import Attention, Forwarded, Trace
from miacap.captioners.feed import Feed, mean_rows, modalities
from miacap.captioners.records import MemoryRecord
from miacap.captioners.recurrence import LstmState, Recurrence, over_words, word_table
from miacap.captioners.settings import FedSizes
from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = ["Adaptive", "AdaptiveMemory", "AdaptiveSizes"]

_SLOTS = ("regions",)


@dataclass(frozen=True)
class AdaptiveSizes(FedSizes):
    """Sizes of adaptive attention; the paper's are width=512, word_width=512."""

    name: str = "adaptive"
    words: int = 0
    scorer: int = 49
    """Width of W_v, W_g and W_s: 49 in the paper, 512 in its authors' code."""


@dataclass(frozen=True)
class AdaptiveMemory(MemoryRecord):
    """What every word of a picture's captions reads."""

    rows: Float[Tensor, "B R D"]
    mask: Bool[Tensor, "B R"]
    keys: Float[Tensor, "B R S"]
    drive: Float[Tensor, "B G"]
    """v^g's part of the LSTM's input product."""
    gate: Float[Tensor, "B D"]
    """v^g's part of the sentinel's gate."""


class Adaptive(nn.Module):
    """The captioner; see the file's equations."""

    sizes_type = AdaptiveSizes
    sources = ("plain", "regions", "combined", "both", "concatenated", "normed")

    @staticmethod
    def reads(sizes: AdaptiveSizes) -> frozenset[str]:
        """Say what moves the logits."""
        return modalities(sizes, _SLOTS)

    def __init__(self, sizes: AdaptiveSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, words = sizes.width, sizes.embedding_width
        self.embedding = word_table(sizes.words, words)
        self.feed = Feed(sizes, _SLOTS, self.sources)
        self.pooled = nn.Linear(width, width)
        self.recurrence = Recurrence((words, width), width, sizes.forget_bias)
        # W_x in two parts: of the word and of v^g.
        self.gate_word = nn.Linear(words, width, bias=False)
        self.gate_pooled = nn.Linear(width, width, bias=False)
        self.gate_hidden = nn.Linear(width, width, bias=False)
        self.attention = Additive(width, width, sizes.scorer)
        self.sentinel_key = nn.Linear(width, sizes.scorer, bias=False)
        self.output = nn.Linear(width, sizes.words)
        self.dropout = nn.Dropout(sizes.dropout)
        self.pooled_dropout = nn.Dropout(sizes.dropout_of_regions)

    def encode(self, pictures: Pictures) -> AdaptiveMemory:
        """Project, refine, pool, and score the rows' side."""
        return self._encode(pictures, False)[0]

    def start(self, memory: AdaptiveMemory, hypotheses: int = 1) -> LstmState:
        """Zero state: nothing comes before BOS."""
        return self.recurrence.zeros(len(memory)).fan_out(hypotheses)

    def step(
        self, memory: AdaptiveMemory, state: LstmState, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], LstmState]:
        """Read one word a hypothesis."""
        embedded = self.dropout(self.embedding(words))
        after = self.recurrence.step(self._drive(memory, embedded), state)
        sentinel = self._sentinel(memory, embedded, state.hidden, after.cell)
        logits, _, _ = self._predict(memory, after.hidden, sentinel, False)
        return logits, after

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read whole captions; the trace holds "rows", the gate "sentinel" and the refiner's."""
        memory, steps = self._encode(pictures, trace)
        embedded = self.dropout(self.embedding(words))
        hidden, cells = self.recurrence.run(self._drive(memory, embedded), self.start(memory))
        before = nn.functional.pad(hidden[:, :, :-1], (0, 0, 1, 0))  # h_{t-1}, zero at first
        sentinel = self._sentinel(memory, embedded, before, cells)
        logits, weights, beta = self._predict(
            memory, hidden.flatten(1, 2), sentinel.flatten(1, 2), trace
        )
        logits = logits.view(*words.shape, -1)
        if weights is None:
            return logits
        attention = Attention(self.feed.over("regions"), weights.view(*words.shape, -1))
        return logits, Trace({"rows": attention}, {"sentinel": beta.view(words.shape)}, steps)

    def _encode(
        self, pictures: Pictures, trace: bool
    ) -> tuple[AdaptiveMemory, tuple[StepTrace, ...]]:
        fed = self.feed(pictures, self.embedding.weight, trace)
        slot = fed.regions
        pooled = self.pooled(self.pooled_dropout(mean_rows(slot))).relu()
        memory = AdaptiveMemory(
            rows=slot.rows,
            mask=slot.mask,
            keys=self.attention.keys(slot.rows),
            drive=self.recurrence.drive(pooled, part=1),
            gate=self.gate_pooled(pooled),
        )
        return memory, fed.trace

    def _drive(
        self, memory: AdaptiveMemory, embedded: Float[Tensor, "B *L E"]
    ) -> Float[Tensor, "B *L G"]:
        drive = self.recurrence.drive(embedded)
        return drive + over_words(memory.drive, drive)

    def _sentinel(
        self,
        memory: AdaptiveMemory,
        embedded: Float[Tensor, "B *L E"],
        before: Float[Tensor, "B *L D"],
        cells: Float[Tensor, "B *L D"],
    ) -> Float[Tensor, "B *L D"]:
        gate = self.gate_word(embedded) + self.gate_hidden(before)
        sentinel: Tensor = (gate + over_words(memory.gate, gate)).sigmoid() * cells.tanh()
        return sentinel

    def _predict(
        self,
        memory: AdaptiveMemory,
        hidden: Float[Tensor, "B Q D"],
        sentinel: Float[Tensor, "B Q D"],
        trace: bool,
    ) -> tuple[Float[Tensor, "B Q W"], Float[Tensor, "B Q R"] | None, Float[Tensor, "B Q"]]:
        scores = self.attention.scores(hidden, memory.keys)
        own = self.attention.own_score(hidden, self.sentinel_key(sentinel))
        mask = nn.functional.pad(memory.mask, (0, 1), value=True)
        weights = masked_softmax(torch.cat([scores, own.unsqueeze(2)], 2), mask.unsqueeze(1))
        beta = weights[..., -1]
        context = weights[..., :-1].to(memory.rows.dtype) @ memory.rows
        context = context + beta.unsqueeze(2) * sentinel
        logits: Tensor = self.output(self.dropout(context + hidden))
        rows = masked_softmax(scores, memory.mask.unsqueeze(1)) if trace else None
        return logits, rows, beta
