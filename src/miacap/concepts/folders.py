"""Folders of concepts: trained or read from a file, with a score vector for every picture."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from miacap.concepts.claiming import unfinished as command_for
from miacap.concepts.description import DESCRIPTION, ConceptSource
from miacap.concepts.extractor import check_weights
from miacap.data.features import Record, require_same
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.errors import RunError
from miacap.progress import Progress
from miacap.version import __version__

SCORES = "scores"
"""The store of scores in a folder of concepts."""


_AT_ONCE = 512


def store_scores(
    folder: Path, source: ConceptSource, made: Record, names: Sequence[str],
    score: Callable[[Sequence[str]], Iterable[Tensor]], *,
    set_aside: Mapping[str, str], photos: Mapping[str, str], quiet: bool,
) -> None:  # fmt: skip
    """Fill the store of scores in a folder of concepts, or go on filling it.

    Args:
        folder: of the concepts.
        source: what is said of them.
        made: how the features were made in which they were found.
        names: the pictures.
        score: gives the scores of some of them.
        set_aside: pictures without scores, and why.
        photos: picture -> SHA-256 of its photo, where it is known.
        quiet: show no progress.
    """
    manifest = Manifest(
        kind="concepts", preprocessing=made, width=len(source.words), words=source.words,
        extractor=source.checksum, made_by=f"miacap {__version__}",
    )  # fmt: skip
    with StoreWriter(folder / SCORES, manifest) as writer:
        writer.retry_changed(set(names), set_aside)
        for name, reason in set_aside.items():
            if name not in writer.done:
                writer.set_aside(name, reason)
        left = [name for name in names if name not in writer.done]
        with Progress("scoring concepts", len(left), "pictures", quiet) as progress:
            for start in range(0, len(left), _AT_ONCE):
                some = left[start : start + _AT_ONCE]
                for name, row in zip(some, score(some), strict=True):
                    writer.add(name, row, photo=photos.get(name))
                progress.advance(len(some))


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
            require_same(ours, theirs, str(self.folder), str(regions.folder), owner="concepts")
