"""What a captioner is: encode a picture once, then predict word after word.

    encode(pictures) -> Memory                        once per picture: project, refine
    start(memory, hypotheses=K) -> State              all that comes before BOS, then K copies
    step(memory, state, words: B K) -> logits, State  one word further
    forward(pictures, words: B C T) -> logits         teacher forcing, equal to repeated steps

Words start with BOS; `logits[..., t, :]` predict the word after `words[..., t]`; W counts
the special ids. Log-probabilities are log-softmax over all W. State tensors start with B K,
Memory tensors with B: memory is broadcast over hypotheses and captions, never repeated.
forward and step agree in eval mode; under dropout they are two draws.

A captioner may have more, which others ask for: `embedding`, its word table (an nn.Embedding; word
vectors can fill it), and on its factory `self_critical_rate`, the learning rate of self-critical
training (5e-5 unless said).

Axis letters: B pictures, K hypotheses, C captions a picture, T words, W vocabulary, R rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from miacap.pictures import Pictures
from miacap.refiner import StepTrace

__all__ = [
    "Attention",
    "Captioner",
    "Factory",
    "Forwarded",
    "Memory",
    "Over",
    "Regularised",
    "Regulariser",
    "State",
    "Trace",
]

Over = Literal["regions", "concepts", "pairs", "both"]
"""Rows that an attention runs over. pairs: row i is region i with concept i, summed;
both: the rows of I* (or I_0), then those of T* (or T_0). Where counts may differ
(rows="aligned"), a refined stream has the rows of its first guide, and says so: by default I*
has a row a concept, pooled from all regions."""


@dataclass(frozen=True)
class Attention:
    """Where one attention looked at each word; keeps gradients."""

    over: Over
    weights: Float[Tensor, "B C T R"]
    """Over valid rows they sum to 1; padded rows have exactly 0."""


@dataclass(frozen=True)
class Trace:
    """What can be looked at after a forward pass; returned, never parked on a module."""

    attentions: Mapping[str, Attention] = field(default_factory=dict)
    """By the captioner's own names, e.g. "regions", "input", "layer 1 head 3"."""
    gates: Mapping[str, Float[Tensor, "B C T"]] = field(default_factory=dict)
    """Shares from 0 to 1 beside the attentions, e.g. the sentinel."""
    refiner: tuple[StepTrace, ...] = ()
    """Attention of each refinement step; empty where nothing is refined."""


# Results may leave a model that is exported (torch.export) as they are.
for _result in (Attention, Trace):
    torch.export.register_dataclass(_result)

Forwarded = Float[Tensor, "B C T W"] | tuple[Float[Tensor, "B C T W"], Trace]
"""Logits; with `trace=True` logits and their Trace."""


R = TypeVar("R")


@runtime_checkable
class Memory(Protocol):
    """A batch of encoded pictures; every tensor starts with B."""

    def __len__(self) -> int:
        """Number of pictures."""

    def select(self: R, rows: Int[Tensor, " S"] | Sequence[int]) -> R:
        """Keep the pictures at these indices, in this order; keeps gradients."""


@runtime_checkable
class State(Protocol):
    """Where K hypotheses of each picture are; every tensor starts with B K."""

    def select(self: R, rows: Int[Tensor, " S"] | Sequence[int]) -> R:
        """Keep the pictures at these indices, in this order; keeps gradients."""

    def reorder(self: R, parents: Int[Tensor, "B J"]) -> R:
        """Let hypothesis j of a picture continue its hypothesis `parents[j]`; J may be new."""


M = TypeVar("M", bound=Memory)
S = TypeVar("S", bound=State)


@runtime_checkable
class Captioner(Protocol[M, S]):
    """The contract; decoding, captioning and explaining know nothing else of a captioner."""

    def encode(self, pictures: Pictures) -> M:
        """Project and refine, once per picture."""

    def start(self, memory: M, hypotheses: int = 1) -> S:
        """Consume all that comes before BOS, once per picture; give K equal hypotheses."""

    def step(
        self, memory: M, state: S, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], S]:
        """Read one word a hypothesis; give logits of the next one, and the new state."""

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read C whole captions a picture at once; logits, with `trace` and their Trace."""


class Factory(Protocol):
    """What the registry holds: usually the captioner's class itself.

    It may also be `Regularised`.
    """

    @property
    def sizes_type(self) -> type[Any]:
        """Frozen dataclass that extends `captioners.Sizes`: all that building needs."""

    @property
    def sources(self) -> tuple[str, ...]:
        """What it can be fed."""

    def reads(self, sizes: Any) -> frozenset[str]:
        """Say what moves the logits: of "regions", "concepts" (rows) and "scores".

        "scores" are the probabilities of all concepts. What is not named need not be in the
        pictures; of what is named, every picture has some.
        """

    def __call__(self, sizes: Any) -> Any:
        """Build an `nn.Module` that fulfils `Captioner` and offers `sizes`."""


Regulariser = Callable[[Trace, Tensor], Tensor]
"""(trace, mask B C T) -> B C: what training may add, weighed, to each caption's loss."""


@runtime_checkable
class Regularised(Protocol):
    """A factory whose captioner has a regulariser of its own."""

    def regulariser(self, trace: Trace, mask: Bool[Tensor, "B C T"]) -> Float[Tensor, "B C"]:
        """Cost of each caption's trace.

        Args:
            trace: of `forward(..., trace=True)`; gradients flow through it.
            mask: True where a word is predicted; the rest costs nothing.
        """
