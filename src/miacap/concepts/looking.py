"""What finds concepts in a new photo, beside what finds its regions.

An extractor reads the regions' rows. A model of pictures and words looks at the photo itself: it
has to be prepared for that model as well, in the same thread that prepares it for the regions.
Joined sources do what each of them does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.concepts.description import JOINED, ConceptSource, no_extractor
from miacap.concepts.extractor import Extractor, extract
from miacap.concepts.joining import MEMBERS, Joined
from miacap.concepts.zero_shot import ZeroShot
from miacap.data.features import OfPhotos
from miacap.devices import Device
from miacap.errors import RunError
from miacap.visual import Places, Regions
from miacap.visual.huggingface import Embedder
from miacap.visual.pixels import Pixels
from miacap.wording import counted

Both = tuple[Any, Any]


@runtime_checkable
class Finder(Protocol):
    """Finds concepts in a new photo.

    Attributes:
        words: the concept words.
    """

    @property
    def words(self) -> tuple[str, ...]:
        """The concept words, in the order of the scores."""

    def prepare(self, image: Image.Image | Pixels) -> Any:
        """Make a photo ready for `scores`."""
        ...

    def scores(self, seen: Sequence[Any], rows: Sequence[Tensor]) -> list[Float[Tensor, " A"]]:
        """Give the scores of photos, of what `prepare` gave and of the rows of their regions."""
        ...


def load(
    folder: Path, source: ConceptSource, device: Device = "auto", places: Places | None = None
) -> Finder:
    """Load what finds the concepts of a folder, or of a run, in new photos.

    Raises:
        RunError: nothing does, files are damaged, or a model is not on this machine.
        MissingExtra: transformers is not installed.
    """
    if source.never_found:
        raise no_extractor(source)
    if source.kind == JOINED:
        return JoinedFinder.load(folder, source, device, places)
    if source.looks:
        return FinderInPhotos.load(folder, source, device, places)
    return FinderInRows(Extractor.load(folder, device))


@dataclass(frozen=True)
class FinderInRows:
    """An extractor, which reads the regions' rows."""

    extractor: Extractor

    @property
    def words(self) -> tuple[str, ...]:
        """The concept words."""
        return self.extractor.words

    def prepare(self, image: Image.Image | Pixels) -> None:
        """Need nothing of the photo itself."""

    def scores(self, seen: Sequence[Any], rows: Sequence[Tensor]) -> list[Float[Tensor, " A"]]:
        """Give the probabilities of the words."""
        return list(extract(self.extractor, rows))


@dataclass(frozen=True)
class JoinedFinder:
    """Several sources as one.

    Attributes:
        words: of all of them.
        members: what finds the concepts of each.
        joined: what makes one score of theirs.
    """

    words: tuple[str, ...]
    members: tuple[Finder, ...]
    joined: Joined

    @classmethod
    def load(
        cls, folder: Path, source: ConceptSource, device: Device, places: Places | None = None
    ) -> "JoinedFinder":
        """Load what a folder of joined concepts, or a run, has. Raises as `load`."""
        inside, found = [], []
        for index, (kind, checksum) in enumerate(source.members):
            path = folder / MEMBERS / str(index)
            own = ConceptSource.of(path)
            if own is None or (own.kind, own.checksum) != (kind, checksum) or kind == JOINED:
                raise RunError(
                    f"{path}: absent, or not the source that concepts.json above it speaks of; "
                    "copy the folder again."
                )
            inside.append(own)
            found.append(load(path, own, device, places))
        return cls(source.words, tuple(found), Joined.load(folder, source, inside))

    def prepare(self, image: Image.Image | Pixels) -> tuple[Any, ...]:
        """Make a photo ready for every source."""
        return tuple(one.prepare(image) for one in self.members)

    def scores(self, seen: Sequence[Any], rows: Sequence[Tensor]) -> list[Float[Tensor, " A"]]:
        """Give the joined scores of photos."""
        own = []
        for index, one in enumerate(self.members):
            mine = [photo[index] for photo in seen]
            own.append(torch.stack(one.scores(mine, rows)))
        return list(self.joined.scores(own))


@dataclass(frozen=True)
class FinderInPhotos:
    """Finds zero-shot concepts in photos.

    Attributes:
        words: the concept words.
        embedder: the model.
        fitted: what was kept of the training photos and captions.
    """

    words: tuple[str, ...]
    embedder: Embedder
    fitted: ZeroShot

    @classmethod
    def load(
        cls, folder: Path, source: ConceptSource, device: Device, places: Places | None = None
    ) -> "FinderInPhotos":
        """Load what a folder of concepts, or a run, has.

        Raises:
            RunError: its files are damaged, or the model is not on this machine.
            MissingExtra: transformers is not installed.
        """
        if source.model is None:
            raise RunError(f"{folder}: its concepts are not found by looking at photos.")
        fitted = ZeroShot.load(folder, source)
        where = Places.of() if places is None else places
        embedder = Embedder.rebuild(source.model, device, where)
        if embedder.width != fitted.words.shape[1]:
            raise RunError(
                f"{folder}: its words have {counted(fitted.words.shape[1], 'number')}, and the "
                f"model gives photos {embedder.width}; copy the folder again."
            )
        return cls(source.words, embedder, fitted)

    def prepare(self, image: Image.Image | Pixels) -> Tensor:
        """Make a photo ready for the model."""
        return self.embedder.prepare(image)

    def scores(self, seen: Sequence[Any], rows: Sequence[Tensor]) -> list[Float[Tensor, " A"]]:
        """Give the probabilities of the words in photos that `prepare` made ready."""
        found = torch.cat([row for row, _ in self.embedder.regions(seen)])
        return list(self.fitted.scores(found))


@dataclass(frozen=True)
class RegionsWithConcepts:
    """Regions whose photos are prepared for what finds concepts as well.

    What `prepare` gives is a pair; `regions` takes the first of it, `concepts` the second.
    """

    inner: Regions
    finder: Finder

    @property
    def width(self) -> int:
        """Length of a row of the regions."""
        return self.inner.width

    @property
    def record(self) -> OfPhotos:
        """How the regions are made."""
        return self.inner.record

    def prepare(self, image: Image.Image | Pixels) -> Both:
        """Make a photo ready for both."""
        return self.inner.prepare(image), self.finder.prepare(image)

    def regions(
        self, prepared: Sequence[Both]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Find the regions."""
        return self.inner.regions([first for first, _ in prepared])

    def rows(
        self, images: Sequence[Image.Image]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Find the regions of upright RGB photos."""
        return self.inner.rows(images)

    def concepts(
        self, prepared: Sequence[Both], rows: Sequence[Tensor]
    ) -> list[Float[Tensor, " A"]]:
        """Find the concepts, of photos and of their regions' rows."""
        return self.finder.scores([second for _, second in prepared], rows)
