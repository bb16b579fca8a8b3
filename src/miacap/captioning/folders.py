"""Folders of concepts: trained or read from a file, and whether one fits features or a run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from miacap.captioning.preparing import reads_probabilities
from miacap.concepts import WordLists
from miacap.concepts.claiming import unfinished
from miacap.concepts.described import DESCRIPTION, description
from miacap.data.store import FeatureStore
from miacap.errors import RunError
from miacap.runs import Run
from miacap.visual import require_same

__all__ = [
    "ConceptFolder",
    "check_fits",
    "check_same_concepts",
    "members",
    "what_to_know",
]


@dataclass(frozen=True)
class ConceptFolder:
    """What `miacap concepts train` or `read` left.

    Attributes:
        folder: where.
        store: scores of every picture.
        lists: what is known of lists that were read; None for trained concepts, which have
            their extractor in the folder.
    """

    folder: Path
    store: FeatureStore
    lists: WordLists | None = None

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "ConceptFolder":
        """Open a folder of concepts.

        Raises:
            RunError: it is none, or not finished, or its parts do not belong together.
        """
        place = Path(folder)
        command = unfinished(place)
        if command is not None:
            raise RunError(f"{place}: not finished; start again what made it: {command}")
        lists = WordLists.of(place)
        if lists is None and not (place / "extractor.safetensors").is_file():
            raise RunError(
                f"{place}: no concepts here; make them with: miacap concepts train, or read "
                "your own with: miacap concepts read"
            )
        store = FeatureStore.open(place / "scores")
        checksum = description(place).get("weights_sha256") if lists is None else None
        if store.kind != "concepts" or store.manifest.extractor != checksum:
            raise RunError(
                f"{place}: its scores do not come from what {DESCRIPTION} beside them tells; "
                "make the concepts again."
            )
        return cls(place, store, lists)

    def check_features(self, regions: FeatureStore) -> None:
        """Refuse features other than those that trained concepts were found in; lists fit all.

        Raises RunError.
        """
        if self.lists is None:
            ours, theirs = self.store.manifest.preprocessing, regions.manifest.preprocessing
            require_same(ours, theirs, str(self.folder), str(regions.folder))


def members(run: Run) -> Sequence[Run]:
    """Give the runs of an ensemble, or the run itself."""
    found: Sequence[Run] = getattr(run, "members", ())
    return found or (run,)


def check_same_concepts(folder: Path, concepts: ConceptFolder) -> None:
    """See that a run that goes on has the concepts that it was begun with. Raises RunError."""
    if not (folder / DESCRIPTION).is_file():
        return
    names = ("kind", "words", "weights_sha256", "file_sha256")
    before, now = description(folder), description(concepts.folder)
    if any(before.get(name) != now.get(name) for name in names):
        raise RunError(
            f"{folder}: trained with other concepts than those in {concepts.folder}; choose "
            "another run folder, or the same concepts to go on."
        )


def check_fits(run: Run, concepts: ConceptFolder) -> bool:
    """See that stored concepts may stand for those that a run was trained with.

    Lists of another file fit, whatever their vocabulary: they are mapped word by word.

    Returns:
        Whether the run has concepts at all.

    Raises:
        RunError: they come from another extractor, or from a file where the run's do not.
    """
    having = [one for one in members(run) if (one.folder / DESCRIPTION).is_file()]
    for one in having:
        lists = WordLists.of(one.folder)
        if (lists is None) != (concepts.lists is None):
            mine, theirs = "an extractor", "a file of lists"
            if lists is not None:
                mine, theirs = theirs, mine
            raise RunError(
                f"{one.folder}: trained with concepts of {mine}, but those in {concepts.folder} "
                f"come from {theirs}. Give the folder that it was trained with."
            )
        said = description(one.folder)
        if lists is None and said.get("weights_sha256") != concepts.store.manifest.extractor:
            raise RunError(
                f"{one.folder}: trained with another concept extractor than that of "
                f"{concepts.folder}. Give the folder that it was trained with."
            )
        same = tuple(said.get("words", ())) == concepts.store.manifest.words
        if reads_probabilities(one.settings) and not same:
            raise RunError(
                f"{one.folder}: reads probabilities of its own concepts, in their order; those in "
                f"{concepts.folder} are others. Give the folder that it was trained with."
            )
    return bool(having)


def what_to_know(run: Run, split: str, concepts: ConceptFolder | None) -> str | None:
    """Say what a reader of a split's scores has to know about the concepts, if anything.

    Args:
        run: a run, or several joined.
        split: which pictures are captioned.
        concepts: stored ones, or None for those that the run's extractor finds.
    """
    having = [one for one in members(run) if (one.folder / DESCRIPTION).is_file()]
    if not having:
        return None
    if concepts is None:
        if split != "train" or WordLists.of(having[0].folder) is not None:
            return None
        return (
            "the run's extractor learned from the captions of these pictures, so their concepts "
            "are better than those of new photos; out of fold they are those of the folder that "
            "it was trained with: --concepts FOLDER"
        )
    for one in having:
        lists = WordLists.of(one.folder)
        if lists is None or concepts.lists is None:
            return None
        if lists.file_sha256 != concepts.lists.file_sha256:
            return (
                f"{one.folder} was trained on the lists of {lists.file}; those in "
                f"{concepts.folder} are of another file, {concepts.lists.file}"
            )
    return None
