"""Several run folders read as one: their captioners' word probabilities are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from torch import nn

from miacap.captioners import Ensemble
from miacap.concepts import ConceptSource, Extractor, Finder
from miacap.data.features import Record, differences
from miacap.devices import Device
from miacap.errors import RunError
from miacap.reading import short
from miacap.runs.folder import Run
from miacap.runs.settings import RunSettings
from miacap.text import Vocabulary
from miacap.visual import Places
from miacap.wording import counted

__all__ = ["JoinedRuns", "join"]


@dataclass(frozen=True)
class JoinedRuns:
    """Several runs; search settings (beam, longest caption) are the first one's. See `Trained`."""

    members: tuple[Run, ...]

    @property
    def folder(self) -> Path:
        """Folder of the first run, for messages."""
        return self.members[0].folder

    @property
    def settings(self) -> RunSettings:
        """The first run's; how many concepts a picture gets is asked of one that reads them."""
        first = self.members[0].settings
        return replace(first, concepts=self._lead.settings.concepts)

    @property
    def vocabulary(self) -> Vocabulary:
        """The one vocabulary."""
        return self.members[0].vocabulary

    @property
    def preprocessing(self) -> Record:
        """How the features were made."""
        return self.members[0].preprocessing

    @property
    def reads(self) -> frozenset[str]:
        """What any of the captioners reads."""
        return frozenset().union(*(run.reads for run in self.members))

    @property
    def rows(self) -> Literal["match", "aligned"]:
        """As the runs that read concepts have it."""
        return self._lead.rows

    @property
    def concepts(self) -> ConceptSource | None:
        """Where the concepts came from; None where no run reads any."""
        return self._lead.concepts

    def extractor(self, device: Device = "auto") -> Extractor | None:
        """Load the one concept extractor of the runs that have it, or None."""
        return self._lead.extractor(device)

    def finder(self, device: Device = "auto", places: Places | None = None) -> Finder | None:
        """Load what finds concepts in photos themselves, or None."""
        return self._lead.finder(device, places)

    def captioner(self, device: Device = "auto") -> nn.Module:
        """Build the ensemble, in eval mode."""
        module: nn.Module = Ensemble([run.captioner(device) for run in self.members])
        return module.eval()

    @property
    def _lead(self) -> Run:
        having = [run for run in self.members if run.concepts is not None]
        return having[0] if having else self.members[0]


def join(runs: Sequence[Run]) -> JoinedRuns:
    """Make one of several runs, whose word probabilities are averaged.

    A run without concepts may join runs with concepts: it does not look at them.

    Raises:
        RunError: no run, or two that differ in vocabulary, features or concepts; the
            message says in what.
    """
    if not runs:
        raise RunError("An ensemble needs at least one run folder.")
    first = runs[0]
    for other in runs[1:]:
        _same_words(first, other)
        _same_features(first, other)
    having = [run for run in runs if run.concepts is not None]
    for other in having[1:]:
        _same_concepts(having[0], other)
    return JoinedRuns(tuple(runs))


def _same_words(one: Run, other: Run) -> None:
    a, b = one.vocabulary.words, other.vocabulary.words
    if a == b:
        return
    pairs = enumerate(zip_longest(a, b))
    index, (left, right) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
    said = [f"{word!r}" if word is not None else "none" for word in (left, right)]
    raise RunError(
        f"{one.folder} and {other.folder} cannot be averaged: their vocabularies differ "
        f"({len(a)} and {counted(len(b), 'word')}; word {index} is {said[0]} and {said[1]}). "
        "Train both on the same captions with the same minimum_count."
    )


def _same_features(one: Run, other: Run) -> None:
    pairs = differences(one.preprocessing, other.preprocessing)
    said = [f"{name} {short(mine)} and {short(theirs)}" for name, (mine, theirs) in pairs.items()]
    if said:
        raise RunError(
            f"{one.folder} and {other.folder} cannot be averaged: their pictures are prepared "
            f"differently ({'; '.join(said)}). Train both on the same features."
        )


def _same_concepts(one: Run, other: Run) -> None:
    assert one.concepts is not None and other.concepts is not None
    differing = list(one.concepts.differences(other.concepts))
    wanted = [(run.rows, run.settings.concepts) for run in (one, other)]
    if wanted[0] != wanted[1]:
        said = [f"rows={rows}, concepts={number}" for rows, number in wanted]
        differing.append(f"how many concepts a picture gets ({said[0]} and {said[1]})")
    if differing:
        raise RunError(
            f"{one.folder} and {other.folder} cannot be averaged: {' and '.join(differing)} "
            "differ. Train both with the same --concepts."
        )
