"""One door into a batch: stored features or new photos become what a captioner reads.

Training, evaluation, captioning of new photos and explaining all come through `Inputs`, so that
boxes, concepts and masks are the same on every path; nothing else calls `collate` for a captioner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from miacap.concepts import ConceptFolder, Extractor, RegionsWithConcepts, not_in_features
from miacap.concepts import extract as concept_scores
from miacap.data.batches import Batches
from miacap.data.store import FeatureStore
from miacap.devices import Device
from miacap.errors import DataError, RunError
from miacap.pictures import Pictures, collate
from miacap.runs import RunSettings, Trained
from miacap.text import Vocabulary
from miacap.visual import Places, Regions
from miacap.wording import counted, part

__all__ = ["Concepts", "FoundConcepts", "Inputs", "StoredConcepts", "Wanted", "concept_words"]


@dataclass(frozen=True)
class Wanted:
    """What a captioner wants to read of a picture.

    Attributes:
        reads: "regions", "concepts", "scores": see `captioners.reads`.
        rows: whether a picture has as many concepts as regions ("match") or not ("aligned").
        concepts: how many concepts, under "aligned"; None takes the default.
    """

    reads: frozenset[str]
    rows: Literal["match", "aligned"]
    concepts: int | None

    @classmethod
    def of(cls, settings: RunSettings) -> "Wanted":
        """Ask a run's captioner."""
        return cls(settings.reads, settings.rows, settings.concepts)

    @property
    def any_concepts(self) -> bool:
        """Whether concepts are read at all, as words or as scores."""
        return not self.reads.isdisjoint(("concepts", "scores"))


class Concepts(Protocol):
    """How the concepts of pictures are found."""

    @property
    def words(self) -> Int[Tensor, " A"]:
        """Caption-word id of each concept, -1 where it is none."""

    @property
    def listed(self) -> bool:
        """Whether a score of 0 means "not in the picture's list"."""

    def scores(self, names: Sequence[str], rows: Sequence[Tensor]) -> list[Tensor]:
        """Give the A scores of some pictures, of their names or of their region rows."""


@runtime_checkable
class StoredRows(Protocol):
    """Region rows of pictures by name: a `FeatureStore`, or what stands in for one."""

    @property
    def set_aside(self) -> Mapping[str, str]:
        """Pictures that were left out, with the reason."""

    def rows_of(self, names: list[str]) -> list[Tensor]:
        """Give the rows of some pictures."""

    def boxes(self, name: str) -> Tensor | None:
        """Give the boxes of a picture's rows; None where they are not known."""

    def count(self, name: str) -> int:
        """Give how many rows a picture has."""

    def require(self, names: list[str]) -> None:
        """See that all of these are there. Raises DataError."""


@dataclass(frozen=True)
class StoredConcepts:
    """Concepts that a folder keeps, by the pictures' names."""

    store: FeatureStore
    words: Int[Tensor, " A"]
    listed: bool

    @classmethod
    def of(cls, folder: ConceptFolder, vocabulary: Vocabulary) -> "StoredConcepts":
        """Take a folder's scores for captions of this vocabulary."""
        words = concept_words(vocabulary, folder.source.words)
        return cls(folder.store, words, folder.source.kind == "lists")

    def scores(self, names: Sequence[str], rows: Sequence[Tensor]) -> list[Tensor]:
        """Read the scores; the rows are not looked at."""
        return self.store.rows_of(list(names))


@dataclass(frozen=True)
class FoundConcepts:
    """Concepts that an extractor finds in region rows."""

    extractor: Extractor
    words: Int[Tensor, " A"]
    listed: bool = False

    def scores(self, names: Sequence[str], rows: Sequence[Tensor]) -> list[Tensor]:
        """Find the scores in the rows; the names are not looked at."""
        return list(concept_scores(self.extractor, rows))


@dataclass(frozen=True)
class SeenConcepts:
    """Concepts that are found in new photos, and not in stored rows."""

    words: Int[Tensor, " A"]
    listed: bool = False

    def scores(self, names: Sequence[str], rows: Sequence[Tensor]) -> list[Tensor]:
        """Refuse: they are found in photos, and not in rows."""
        raise RunError("These concepts are found in photos, not in stored features.")


@dataclass(frozen=True)
class Inputs:
    """What turns pictures into a captioner's batches.

    Attributes:
        wanted: by the captioner.
        concepts: how they are found; None where none are read.
        store: regions of pictures, by name; None where only new photos come.
        regions: what finds the regions of new photos; None where only stored pictures come.
        concepts_of: whose concepts a picture gets where not its own; for controls.
    """

    wanted: Wanted
    concepts: Concepts | None
    store: StoredRows | None = None
    regions: Regions | None = None
    concepts_of: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_run(
        cls,
        run: Trained,
        store: FeatureStore,
        folder: ConceptFolder | None = None,
        concepts_of: Mapping[str, str] | None = None,
        device: Device = "auto",
    ) -> "Inputs":
        """Read stored features for a trained run.

        Args:
            run: one, or several joined.
            store: regions of the pictures.
            folder: stored concepts that fit the run; without it the run's extractor finds them.
            concepts_of: whose concepts a picture gets where not its own.
            device: where the extractor runs.
        """
        concepts: Concepts | None = None
        wanted = Wanted(run.reads, run.rows, run.settings.concepts)
        if folder is not None and wanted.any_concepts:
            concepts = StoredConcepts.of(folder, run.vocabulary)
        elif wanted.any_concepts:
            if run.concepts is not None and run.concepts.looks:
                raise not_in_features(run.concepts)
            concepts = _from_extractor(run, device)
        return cls(wanted, concepts, store, concepts_of=concepts_of or {})

    @classmethod
    def of_photos(
        cls,
        run: Trained,
        regions: Regions,
        device: Device = "auto",
        *,
        reads: frozenset[str] | None = None,
        places: Places | None = None,
    ) -> "Inputs":
        """Read new photos for a trained run; what it has finds their concepts.

        Photos have to be prepared by `regions` of what comes out.

        Args:
            run: one, or several joined.
            regions: finds the regions of photos as those of the run were found.
            device: where the extractor runs.
            reads: what to read, where that is not what the captioner reads.
            places: where a model that finds concepts may lie; see `visual.load`.
        """
        wanted = Wanted(run.reads if reads is None else reads, run.rows, run.settings.concepts)
        finder = run.finder(device, places) if wanted.any_concepts else None
        if finder is not None:
            seen = SeenConcepts(concept_words(run.vocabulary, finder.words))
            return cls(wanted, seen, regions=RegionsWithConcepts(regions, finder))
        concepts = _from_extractor(run, device) if wanted.any_concepts else None
        return cls(wanted, concepts, regions=regions)

    def stored(self, names: Sequence[str]) -> Pictures:
        """Give stored pictures as one batch, in this order."""
        store = self._store
        rows = store.rows_of(list(names))
        boxes = [box for box in map(store.boxes, names) if box is not None]
        whose = [self.concepts_of.get(name, name) for name in names]
        theirs = rows if whose == list(names) else store.rows_of(whose)
        return self._batch(names, rows, boxes or None, whose, theirs)

    def live(self, names: Sequence[str], prepared: Sequence[Any]) -> Pictures:
        """Give new photos as one batch.

        Args:
            names: an id each.
            prepared: the photos, as `regions.prepare` made them.
        """
        assert self.regions is not None
        results = self.regions.regions(prepared)
        # Rounded to half precision, as the store's rows that the captioner learned from.
        rows = [matrix.half() for matrix, _ in results]
        seen = None
        if isinstance(self.regions, RegionsWithConcepts):
            seen = self.regions.concepts(prepared, rows)
        return self._batch(names, rows, [boxes for _, boxes in results], names, rows, seen)

    def batches(
        self,
        names: Sequence[str],
        *,
        captions: Mapping[str, list[list[int]]] | None = None,
        batch_size: int,
        seed: int = 0,
        maximum: int = 20,
    ) -> Batches:
        """Make batches of stored pictures; with captions for training, without for search.

        Raises:
            DataError: pictures without regions or concepts; see `Batches` too.
        """
        self.require(names)
        return Batches(
            names, self.stored, captions=captions, batch_size=batch_size, seed=seed, maximum=maximum
        )

    def require(self, names: Sequence[str]) -> None:
        """See that every picture has regions and as many concepts as are wanted of it.

        Raises:
            DataError: absent pictures, or lists that are too short; says how many.
        """
        store = self._store
        store.require(list(names))
        if not isinstance(self.concepts, StoredConcepts):
            return
        whose = [self.concepts_of.get(name, name) for name in names]
        self.concepts.store.require(whose)
        if self.concepts.listed and "concepts" in self.wanted.reads:
            counts = [store.count(name) if self._matching else 1 for name in names]
            _require_lists(self.concepts, whose, counts, self.wanted.rows)

    def set_aside(self, names: Sequence[str]) -> dict[str, str]:
        """Give those stored pictures that a store was told to leave out, with the reason.

        A picture that a store never heard of is not among them: that is an extraction not
        finished.
        """
        stores = [self._store]
        if isinstance(self.concepts, StoredConcepts):
            stores.append(self.concepts.store)
        reasons: dict[str, str] = {}
        for store in stores:
            known = store.set_aside
            reasons = {name: known[name] for name in names if name in known} | reasons
        return reasons

    @property
    def _matching(self) -> bool:
        return self.wanted.rows == "match"

    @property
    def _store(self) -> StoredRows:
        if self.store is None:
            raise RunError("These inputs read new photos; there is no store of features here.")
        return self.store

    def _batch(
        self,
        names: Sequence[str],
        rows: Sequence[Tensor],
        boxes: Sequence[Tensor] | None,
        whose: Sequence[str],
        theirs: Sequence[Tensor],
        seen: list[Tensor] | None = None,
    ) -> Pictures:
        ranked = "concepts" in self.wanted.reads
        concepts = self.concepts
        scores = seen
        if concepts is not None and scores is None:
            scores = concepts.scores(whose, theirs)
        return collate(
            names,
            rows,
            boxes=boxes,
            scores=scores,
            concept_words=concepts.words if concepts is not None and ranked else None,
            rows=self.wanted.rows,
            concepts=self.wanted.concepts,
            listed=concepts is not None and concepts.listed,
            keep_scores="scores" in self.wanted.reads,
        )


def _from_extractor(run: Trained, device: Device) -> FoundConcepts | None:
    extractor = run.extractor(device)
    if extractor is None:
        return None
    return FoundConcepts(extractor, concept_words(run.vocabulary, extractor.words))


def concept_words(vocabulary: Vocabulary, words: Sequence[str]) -> Int[Tensor, " A"]:
    """Map concept words to caption-word ids, -1 where there is none."""
    return torch.tensor([vocabulary.id(w) if w in vocabulary else -1 for w in words])


def _require_lists(
    concepts: StoredConcepts,
    names: Sequence[str],
    counts: Sequence[int],
    rows: Literal["match", "aligned"],
) -> None:
    """See that every picture lists as many caption words as are wanted of it."""
    mapped = concepts.words >= 0
    short: dict[str, tuple[int, int]] = {}
    for name, wanted in zip(names, counts, strict=True):
        listed = int(((concepts.store.rows(name) > 0) & mapped).sum())
        if listed < wanted:
            short[name] = (listed, wanted)
    if not short:
        return
    folder = concepts.store.folder
    name, (listed, wanted) = min(short.items(), key=lambda item: item[1])
    if rows == "match":
        raise DataError(
            f"{folder}: {part(len(short), len(names), 'picture', 'lists', 'list')} fewer caption "
            f"words than regions, the shortest is {name!r}: {counted(listed, 'word')}, "
            f"{counted(wanted, 'region')}. "
            "Train with --set sizes.rows=aligned, which lets the counts differ, or bring longer "
            "lists."
        )
    raise DataError(
        f"{folder}: {part(len(short), len(names), 'picture', 'lists', 'list')} no word of the "
        "caption "
        f"vocabulary, the first is {name!r}. Lower minimum_count, or read the lists again with "
        "the minimum_count that the captioner has."
    )
