"""Folders of concepts: trained or read from a file, with a score vector for every picture."""

import os
from dataclasses import dataclass
from pathlib import Path

from miacap.concepts.claiming import unfinished as command_for
from miacap.concepts.description import DESCRIPTION, ConceptSource
from miacap.concepts.extractor import check_weights
from miacap.data.features import require_same
from miacap.data.store import FeatureStore
from miacap.errors import RunError

SCORES = "scores"
"""The store of scores in a folder of concepts."""


@dataclass(frozen=True)
class ConceptFolder:
    """What `miacap concepts train` or `read` left.

    Attributes:
        folder: where.
        store: scores of every picture.
        source: where they come from. Trained concepts have their extractor in the folder, lists
            that were read have none.
    """

    folder: Path
    store: FeatureStore
    source: ConceptSource

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, unfinished: bool = False) -> "ConceptFolder":
        """Open a folder of concepts.

        Args:
            folder: where.
            unfinished: open it without its report, for those who write that.

        Raises:
            RunError: it is none, or not finished, or its parts do not belong together.
        """
        path = Path(folder)
        command = command_for(path)
        if command is not None and not unfinished:
            raise RunError(f"{path}: not finished; start again what made it: {command}")
        source = ConceptSource.of(path)
        if source is None or not (source.needs is None or (path / source.needs).is_file()):
            raise RunError(
                f"{path}: no concepts here; make them with: miacap concepts train, or read "
                "your own with: miacap concepts read"
            )
        if not source.is_lists:
            check_weights(source, path)
        if not (path / SCORES).is_dir():
            raise RunError(f"{path}: {SCORES} is absent; make the concepts again.")
        store = FeatureStore.open(path / SCORES)
        checksum = None if source.is_lists else source.checksum
        told = (store.kind, store.manifest.extractor, store.manifest.words)
        if told != ("concepts", checksum, source.words):
            raise RunError(
                f"{path}: its scores do not come from what {DESCRIPTION} beside them tells; "
                "make the concepts again."
            )
        return cls(path, store, source)

    def check_features(self, regions: FeatureStore) -> None:
        """Refuse features other than those that trained concepts were found in; all others fit any.

        Raises RunError.
        """
        kinds = {self.source.kind, *(kind for kind, _ in self.source.members)}
        if "extractor" in kinds:
            ours, theirs = self.store.manifest.preprocessing, regions.manifest.preprocessing
            require_same(ours, theirs, str(self.folder), str(regions.folder))
