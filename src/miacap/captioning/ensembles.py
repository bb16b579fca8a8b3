"""Several run folders joined into one, for ``evaluate`` and ``caption``: an ensemble.

What they believe of a word is averaged ([eq:ensemble], captioners/ensemble.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

from torch import nn

from miacap.captioners import Ensemble
from miacap.concepts import ConceptSource, Extractor
from miacap.data import features
from miacap.errors import RunError
from miacap.runs import Run

__all__ = ["EnsembleRun", "join"]


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
