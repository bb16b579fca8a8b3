"""Ensembles: several captioners that speak with one voice.

    p(y | picture, words) = 1/E sum_e p_e(y | picture, words)      [eq:ensemble]

at every word, over E captioners. An ``Ensemble`` fulfils the captioners' contract, so that every
search and every evaluation works with it; its logits are log p. ``join`` makes one run out of
run folders, for ``evaluate`` and ``caption``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from miacap.captioners import Attention, Forwarded, Trace
from miacap.concepts import ConceptSource, Extractor
from miacap.data import features
from miacap.errors import RunError
from miacap.pictures import Pictures
from miacap.runs import Run

__all__ = ["Ensemble", "EnsembleMemory", "EnsembleRun", "EnsembleState", "join"]


@dataclass(frozen=True)
class EnsembleMemory:
    """The members' memories of the same pictures."""

    members: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.members[0])

    def select(self, rows: Int[Tensor, " S"] | Sequence[int]) -> "EnsembleMemory":
        """Keep the pictures at these places, in every member."""
        return EnsembleMemory(tuple(member.select(rows) for member in self.members))


@dataclass(frozen=True)
class EnsembleState:
    """The members' states of the same hypotheses."""

    members: tuple[Any, ...]

    def select(self, rows: Int[Tensor, " S"] | Sequence[int]) -> "EnsembleState":
        """Keep the pictures at these places, in every member."""
        return EnsembleState(tuple(member.select(rows) for member in self.members))

    def reorder(self, parents: Int[Tensor, "B J"]) -> "EnsembleState":
        """Let hypothesis j of a picture continue ``parents[j]``, in every member."""
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


@dataclass(frozen=True)
class EnsembleRun(Run):
    """Several runs read as one; search settings (beam, longest caption) are the first one's."""

    members: tuple[Run, ...] = ()

    @cached_property
    def extractor(self) -> Extractor | None:
        """The one concept extractor of the members that have one, or None."""
        return next((run.extractor for run in self.members if run.extractor is not None), None)

    def captioner(self, weights: bool = True) -> nn.Module:
        """Build the ensemble, in eval mode."""
        return Ensemble([run.captioner(weights) for run in self.members]).eval()


def members(run: Run) -> Sequence[Run]:
    """Give the runs of an ensemble, or the run itself."""
    found: Sequence[Run] = getattr(run, "members", ())
    return found or (run,)


def with_sources(run: Run) -> list[tuple[Run, ConceptSource]]:
    """Give those of a run's members that have concepts, with where these come from."""
    found = ((one, one.concept_source) for one in members(run))
    return [(one, source) for one, source in found if source is not None]


def join(runs: Sequence[Run]) -> EnsembleRun:
    """Make one run out of several, whose word probabilities are averaged.

    A run without concepts may join runs with concepts: it does not look at them.

    Raises:
        RunError: no run, or two that differ in vocabulary, preprocessing or concepts; the
            message says in what.
    """
    if not runs:
        raise RunError("An ensemble needs at least one run folder.")
    first = runs[0]
    for other in runs[1:]:
        _same_words(first, other)
        _same_preprocessing(first, other)
    with_concepts = [run for run in runs if run.concept_source is not None]
    for other in with_concepts[1:]:
        _same_concepts(with_concepts[0], other)
    # How many concepts a picture gets is asked of a member that reads them.
    lead = with_concepts[0].settings if with_concepts else first.settings
    sizes = {**first.settings.sizes, "rows": lead.rows}
    settings = replace(first.settings, sizes=sizes, concepts=lead.concepts)
    return EnsembleRun(
        first.folder, settings, first.vocabulary, first.preprocessing, members=tuple(runs)
    )


def _same_words(one: Run, other: Run) -> None:
    a, b = one.vocabulary.words, other.vocabulary.words
    if a == b:
        return
    pairs = enumerate(zip_longest(a, b))
    place, (left, right) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
    said = [f"{word!r}" if word is not None else "none" for word in (left, right)]
    raise RunError(
        f"{one.folder} and {other.folder} cannot be averaged: their vocabularies differ "
        f"({len(a)} and {len(b)} words; word {place} is {said[0]} and {said[1]}). "
        "Train both on the same captions with the same minimum_count."
    )


def _same_preprocessing(one: Run, other: Run) -> None:
    pairs = features.differences(one.preprocessing, other.preprocessing)
    differences = [f"{name} {mine!r} and {theirs!r}" for name, (mine, theirs) in pairs.items()]
    if differences:
        raise RunError(
            f"{one.folder} and {other.folder} cannot be averaged: their pictures are prepared "
            f"differently ({'; '.join(differences)}). Train both on the same features."
        )


def _same_concepts(one: Run, other: Run) -> None:
    assert one.concept_source is not None and other.concept_source is not None
    differences = list(one.concept_source.differences(other.concept_source))
    wanted = [(run.settings.rows, run.settings.concepts) for run in (one, other)]
    if wanted[0] != wanted[1]:
        said = [f"rows={rows}, concepts={number}" for rows, number in wanted]
        differences.append(f"how many concepts a picture gets ({said[0]} and {said[1]})")
    if differences:
        raise RunError(
            f"{one.folder} and {other.folder} cannot be averaged: {' and '.join(differences)} "
            "differ. Train both with the same --concepts."
        )
