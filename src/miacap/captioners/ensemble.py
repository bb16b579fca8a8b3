"""Ensembles: several captioners that speak with one voice.

    p(y | picture, words) = 1/E sum_e p_e(y | picture, words)      [eq:ensemble]

at every word, over E captioners. An `Ensemble` fulfils the captioners' contract, so that every
search and every evaluation works with it; its logits are log p, in single precision at least.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from miacap.captioners.contract import Attention, Forwarded, Trace
from miacap.pictures import Pictures

__all__ = ["Ensemble", "EnsembleMemory", "EnsembleState"]


@dataclass(frozen=True)
class EnsembleMemory:
    """The members' memories of the same pictures."""

    members: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.members[0])

    def select(self, rows: Int[Tensor, " S"] | Sequence[int]) -> "EnsembleMemory":
        """Keep the pictures at these indices, in every member."""
        return EnsembleMemory(tuple(member.select(rows) for member in self.members))


@dataclass(frozen=True)
class EnsembleState:
    """The members' states of the same hypotheses."""

    members: tuple[Any, ...]

    def select(self, rows: Int[Tensor, " S"] | Sequence[int]) -> "EnsembleState":
        """Keep the pictures at these indices, in every member."""
        return EnsembleState(tuple(member.select(rows) for member in self.members))

    def reorder(self, parents: Int[Tensor, "B J"]) -> "EnsembleState":
        """Let hypothesis j of a picture continue `parents[j]`, in every member."""
        return EnsembleState(tuple(member.reorder(parents) for member in self.members))


class Ensemble(nn.Module):
    """Captioners of one vocabulary, their word probabilities averaged. [eq:ensemble]

    Args:
        captioners: one or more that fulfil the contract and read the same pictures.

    Raises:
        ValueError: no captioner at all.
    """

    def __init__(self, captioners: Sequence[nn.Module]) -> None:
        super().__init__()
        if not captioners:
            raise ValueError("An ensemble has at least one captioner.")
        self.captioners = nn.ModuleList(captioners)

    def encode(self, pictures: Pictures) -> EnsembleMemory:
        """Encode the pictures once in every member."""
        return EnsembleMemory(tuple(member.encode(pictures) for member in self._members))

    def start(self, memory: EnsembleMemory, hypotheses: int = 1) -> EnsembleState:
        """Start every member."""
        pairs = zip(self._members, memory.members, strict=True)
        return EnsembleState(tuple(member.start(own, hypotheses) for member, own in pairs))

    def step(
        self, memory: EnsembleMemory, state: EnsembleState, words: Int[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B K W"], EnsembleState]:
        """Have every member read the same word; give the logarithm of their mean belief."""
        logits, states = [], []
        for member, own, before in zip(self._members, memory.members, state.members, strict=True):
            one, after = member.step(own, before, words)
            logits.append(one)
            states.append(after)
        return _mean(logits), EnsembleState(tuple(states))

    def forward(
        self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False
    ) -> Forwarded:
        """Read whole captions; the trace has each member's attentions and gates, numbered.

        What the members' refiners did is no one sequence of steps and is left out of it.
        """
        if not trace:
            return _mean([member(pictures, words) for member in self._members])
        logits: list[Tensor] = []
        attentions: dict[str, Attention] = {}
        gates: dict[str, Tensor] = {}
        for number, member in enumerate(self._members, 1):
            one, seen = member(pictures, words, trace=True)
            logits.append(one)
            attentions |= {f"{number}: {name}": value for name, value in seen.attentions.items()}
            gates |= {f"{number}: {name}": value for name, value in seen.gates.items()}
        return _mean(logits), Trace(attentions, gates)

    @property
    def _members(self) -> list[Any]:
        return list(self.captioners)


def _mean(logits: Sequence[Float[Tensor, "*L W"]]) -> Float[Tensor, "*L W"]:
    """Give the logarithm of the mean of the softmaxes, in single precision at least."""
    beliefs = [
        (one if one.dtype == torch.float64 else one.float()).log_softmax(dim=-1) for one in logits
    ]
    return torch.stack(beliefs).logsumexp(dim=0) - math.log(len(beliefs))
