"""Transformer: the modern baseline (pre-norm; not in the paper).

    X = Drop(S)                                    rows of the slot (feed.py)
    X = X + MHA(LN X), X = X + FFN(LN X), ...      [eq:transformer-encoder]  then a last LN
    y_t = sqrt(d) E w_t + sinusoid(t)              [eq:transformer-word]
    Y = Y + causal MHA(LN Y)                       [eq:transformer-self]
    Y = Y + MHA(LN Y, X)                           [eq:transformer-cross]  "layer l head h"
    Y = Y + FFN(LN Y), ...                         then a last LN
    FFN(x) = W_2 ReLU(W_1 x + b_1) + b_2           [eq:transformer-feed]
    p_t = softmax(W_o Y_t + b_o)                   [eq:transformer-output]  not tied to E

Names: S is the visual slot, or the textual one under `concepts`; d is `width`. Rows have no
positions. Where regions and concepts stand side by side, each kind has a vector of its own
([eq:transformer-kind]), added to its rows. `step` keeps the keys and values of all words so
far in its State.
Dropout: on F (`region_dropout`) and S (`dropout`); on y_t, on what each attention and FFN
gives, and before W_2 (`layer_dropout`); none on attention weights.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from miacap.captioners.attention import masked_softmax
from miacap.captioners.contract import Attention, Forwarded, Trace
from miacap.captioners.feed import Feed, modalities
from miacap.captioners.records import MemoryRecord, StateRecord
from miacap.captioners.settings import FedSizes
from miacap.pictures import Pictures
from miacap.refiner import StepTrace
from miacap.settings import check_at_most

__all__ = ["Transformer", "TransformerMemory", "TransformerSizes", "TransformerState"]

_MOST_LAYERS = 100
"""Each layer is built before a size of the whole is known, so their number has a bound."""


@dataclass(frozen=True)
class TransformerSizes(FedSizes):
    """Sizes of the Transformer; public code has width=512 and 6 layers, 3 for small data."""

    name: str = "transformer"
    words: int = 0
    layers: int = 3
    """Of the encoder, and as many of the decoder."""
    layer_heads: int = 8
    """Attention heads of every layer; divide `width`."""
    layer_inner: int = 2048
    """Width of the feed-forward layers."""
    layer_dropout: float = 0.1
    """After every sub-layer, in the feed-forward layers, and on the words."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.layers, self.layer_heads, self.layer_inner) < 1:
            raise ValueError("layers, layer_heads and layer_inner are at least 1.")
        check_at_most(_MOST_LAYERS, layers=self.layers)
        if self.width % self.layer_heads:
            raise ValueError(f"{self.layer_heads} layer_heads do not divide width={self.width}.")
        if not 0.0 <= self.layer_dropout < 1.0:
            raise ValueError(f"layer_dropout is from 0 to below 1, not {self.layer_dropout}.")

    @property
    def width_multiple(self) -> int:
        """What every possible `width` is a multiple of: the heads of layers and refiner."""
        return math.lcm(super().width_multiple, self.layer_heads)

    @property
    def adjustable(self) -> str | None:
        """The feed-forward layers' width, which grows in small steps."""
        return "layer_inner"


@dataclass(frozen=True)
class KeysValues(StateRecord):
    """Keys and values of the words so far; B K H t d."""

    keys: Float[Tensor, "B K H L d"]
    values: Float[Tensor, "B K H L d"]


@dataclass(frozen=True)
class TransformerState(StateRecord):
    """One entry a layer."""

    layers: tuple[KeysValues, ...]


@dataclass(frozen=True)
class TransformerMemory(MemoryRecord):
    """What every word of a picture's captions reads: keys and values, one entry a layer."""

    mask: Bool[Tensor, "B R"]
    keys: tuple[Float[Tensor, "B H R d"], ...]
    values: tuple[Float[Tensor, "B H R d"], ...]


class _Heads(nn.Module):
    """Projections of one multi-head attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def split(self, x: Float[Tensor, "*L D"]) -> Float[Tensor, "*S d"]:
        """... L D -> ... H L d"""
        return x.view(*x.shape[:-1], self.heads, x.shape[-1] // self.heads).transpose(-3, -2)

    def joined(self, x: Float[Tensor, "*S d"]) -> Float[Tensor, "*L D"]:
        """... H L d -> ... L D, projected"""
        result: Tensor = self.output(x.transpose(-3, -2).flatten(-2))
        return result


class _Feed(nn.Module):
    """[eq:transformer-feed]"""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*L D"]) -> Float[Tensor, "*L D"]:
        result: Tensor = self.narrow(self.dropout(torch.relu(self.widen(x))))
        return result


class _Encoder(nn.Module):
    """One layer of [eq:transformer-encoder]."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.heads = _Heads(sizes.width, sizes.layer_heads)
        self.feed = _Feed(sizes.width, sizes.layer_inner, sizes.layer_dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(sizes.width) for _ in range(2))
        self.dropout = nn.Dropout(sizes.layer_dropout)

    def forward(
        self, rows: Float[Tensor, "B R D"], mask: Bool[Tensor, "B R"]
    ) -> Float[Tensor, "B R D"]:
        heads, x = self.heads, self.norms[0](rows)
        query, key, value = (heads.split(part(x)) for part in (heads.query, heads.key, heads.value))
        read = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None].expand(-1, -1, mask.shape[1], -1)
        )
        rows = rows + self.dropout(heads.joined(read))
        fed: Tensor = rows + self.dropout(self.feed(self.norms[1](rows)))
        return fed


class _Decoder(nn.Module):
    """One layer: [eq:transformer-self], [eq:transformer-cross], feed-forward."""

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.own = _Heads(sizes.width, sizes.layer_heads)
        self.cross = _Heads(sizes.width, sizes.layer_heads)
        self.feed = _Feed(sizes.width, sizes.layer_inner, sizes.layer_dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(sizes.width) for _ in range(3))
        self.dropout = nn.Dropout(sizes.layer_dropout)

    def forward(
        self,
        words: Float[Tensor, "B K L D"],
        before: KeysValues,
        keys: Float[Tensor, "B H R d"],
        values: Float[Tensor, "B H R d"],
        mask: Bool[Tensor, "B R"],
        trace: bool,
    ) -> tuple[Float[Tensor, "B K L D"], KeysValues, Float[Tensor, "B H Q R"] | None]:
        own, x = self.own, self.norms[0](words)
        query, key, value = (own.split(part(x)) for part in (own.query, own.key, own.value))
        after = KeysValues(
            torch.cat([before.keys.to(key.dtype), key], dim=3),
            torch.cat([before.values.to(value.dtype), value], dim=3),
        )
        # One word looks at all so far; several (from the first on) each at those before.
        read = nn.functional.scaled_dot_product_attention(
            query.flatten(0, 1),
            after.keys.flatten(0, 1),
            after.values.flatten(0, 1),
            is_causal=words.shape[2] > 1,
        )
        words = words + self.dropout(own.joined(read.view(query.shape)))
        read, weights = self._crossed(self.norms[1](words), keys, values, mask, trace)
        words = words + self.dropout(read)
        return words + self.dropout(self.feed(self.norms[2](words))), after, weights

    def _crossed(
        self,
        words: Float[Tensor, "B K L D"],
        keys: Float[Tensor, "B H R d"],
        values: Float[Tensor, "B H R d"],
        mask: Bool[Tensor, "B R"],
        trace: bool,
    ) -> tuple[Float[Tensor, "B K L D"], Float[Tensor, "B H Q R"] | None]:
        # All captions' words ask at once, so that a picture's keys are not repeated.
        query = self.cross.split(self.cross.query(words.flatten(1, 2)))
        weights = None
        if trace:
            scores = query @ keys.transpose(2, 3) * query.shape[-1] ** -0.5
            weights = masked_softmax(scores, mask[:, None, None])
            read = weights.to(values.dtype) @ values
        else:
            every = mask[:, None, None].expand(-1, -1, query.shape[2], -1)
            read = nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=every)
        return self.cross.joined(read).view(words.shape), weights


class Transformer(nn.Module):
    """The captioner; see the file's equations."""

    sizes_type = TransformerSizes
    sources = ("plain", "regions", "concepts", "combined", "both", "concatenated", "normed")
    self_critical_rate = 1e-5

    @staticmethod
    def reads(sizes: TransformerSizes) -> frozenset[str]:
        """Say what moves the logits."""
        return modalities(sizes, (_slot(sizes),))

    def __init__(self, sizes: TransformerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.width
        self.slot = _slot(sizes)
        self.embedding = nn.Embedding(sizes.words, sizes.embedding_width)
        self.lift: nn.Linear | None = None
        if sizes.embedding_width != width:
            self.lift = nn.Linear(sizes.embedding_width, width)
        self.feed = Feed(sizes, (self.slot,), self.sources)
        self.kinds: nn.Parameter | None = None
        if sizes.source in ("both", "concatenated"):
            self.kinds = nn.Parameter(torch.randn(2, width) * 0.02)
        self.encoder = nn.ModuleList(_Encoder(sizes) for _ in range(sizes.layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.decoder = nn.ModuleList(_Decoder(sizes) for _ in range(sizes.layers))
        self.decoder_norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, sizes.words)
        self.row_dropout = nn.Dropout(sizes.dropout)
        self.word_dropout = nn.Dropout(sizes.layer_dropout)
        for part in (self.encoder, self.decoder, self.output):
            for parameter in part.parameters():
                if parameter.ndim == 2:
                    nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.embedding.weight, std=sizes.embedding_width**-0.5)

    def encode(self, pictures: Pictures) -> TransformerMemory:
        """Project, refine, encode, and take each decoder layer's keys and values."""
        return self._encode(pictures, False)[0]

    def start(self, memory: TransformerMemory, hypotheses: int = 1) -> TransformerState:
        """Nothing comes before BOS: no keys, no values."""
        heads = self.sizes.layer_heads
        shape = (len(memory), hypotheses, heads, 0, self.sizes.width // heads)
        empty = memory.keys[0].new_zeros(shape)
        return TransformerState(tuple(KeysValues(empty, empty) for _ in self.decoder))

    def step(
        self, memory: TransformerMemory, state: TransformerState, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], TransformerState]:
        """Read one word a hypothesis."""
        hidden, after, _ = self._decode(memory, state, words.unsqueeze(2), False)
        return self.output(hidden).squeeze(2), after

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read whole captions; the trace holds each layer's and head's look at the rows."""
        memory, steps = self._encode(pictures, trace)
        start = self.start(memory, words.shape[1])
        hidden, _, layers = self._decode(memory, start, words, trace)
        logits: Tensor = self.output(hidden)
        if not trace:
            return logits
        over = self.feed.over(self.slot)
        attentions = {
            f"layer {layer + 1} head {head + 1}": Attention(
                over, weights[:, head].view(*words.shape, -1)
            )
            for layer, weights in enumerate(layers)
            for head in range(weights.shape[1])
        }
        return logits, Trace(attentions, refiner=steps)

    def _encode(
        self, pictures: Pictures, trace: bool
    ) -> tuple[TransformerMemory, tuple[StepTrace, ...]]:
        fed = self.feed(pictures, self.embedding.weight, trace)
        slot = fed.concepts if self.slot == "concepts" else fed.regions
        rows = slot.rows
        if self.kinds is not None:  # [eq:transformer-kind]
            second = torch.arange(rows.shape[1], device=rows.device) >= fed.first_kind
            rows = rows + self.kinds[second.long()]
        rows = self.row_dropout(rows)
        for layer in self.encoder:
            rows = layer(rows, slot.mask)
        rows = self.encoder_norm(rows)
        keys, values = [], []
        for layer in self.decoder:
            assert isinstance(layer, _Decoder)
            keys.append(layer.cross.split(layer.cross.key(rows)))
            values.append(layer.cross.split(layer.cross.value(rows)))
        return TransformerMemory(slot.mask, tuple(keys), tuple(values)), fed.trace

    def _decode(
        self,
        memory: TransformerMemory,
        state: TransformerState,
        words: Int[Tensor, "B K L"],
        trace: bool,
    ) -> tuple[Float[Tensor, "B K L D"], TransformerState, list[Tensor]]:
        embedded = self.embedding(words)
        hidden = embedded if self.lift is None else self.lift(embedded)
        first = state.layers[0].keys.shape[3]
        positions = _sinusoid(first, words.shape[2], hidden)
        hidden = self.word_dropout(hidden * math.sqrt(self.sizes.width) + positions)
        after, traced = [], []
        parts = zip(self.decoder, state.layers, memory.keys, memory.values, strict=True)
        for layer, before, keys, values in parts:
            hidden, kept, weights = layer(hidden, before, keys, values, memory.mask, trace)
            after.append(kept)
            if weights is not None:
                traced.append(weights)
        return self.decoder_norm(hidden), TransformerState(tuple(after)), traced


def _slot(sizes: TransformerSizes) -> str:
    return "concepts" if sizes.source == "concepts" else "regions"


def _sinusoid(first: int, count: int, like: Tensor) -> Float[Tensor, "L D"]:
    """sin and cos of position / 10000^(2i/d), side by side: `count` positions from `first`."""
    width = like.shape[-1]
    positions = torch.arange(first, first + count, device=like.device, dtype=torch.float64)
    pairs = torch.arange((width + 1) // 2, device=like.device, dtype=torch.float64)
    angles = positions[:, None] * 10000.0 ** (-2.0 * pairs / width)
    both = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return both[:, :width].to(like.dtype)
