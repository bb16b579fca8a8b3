"""What finds concepts in a new photo, beside what finds its regions.

An extractor reads the regions' rows. A model of pictures and words looks at the photo itself: it
has to be prepared for that model as well, in the same thread that prepares it for the regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.concepts.description import ConceptSource
from miacap.concepts.zero_shot import ZeroShot
from miacap.data.features import OfPhotos
from miacap.devices import Device
from miacap.errors import RunError
from miacap.visual import Places, Regions
from miacap.visual.huggingface import Embedder
from miacap.visual.pixels import Pixels

Both = tuple[Any, Tensor]


@dataclass(frozen=True)
class Looking:
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
    ) -> "Looking":
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
                f"{folder}: its words have {fitted.words.shape[1]} numbers, and the model gives "
                f"photos {embedder.width}; copy the folder again."
            )
        return cls(source.words, embedder, fitted)

    def scores(self, seen: Sequence[Tensor]) -> list[Float[Tensor, " A"]]:
        """Give the probabilities of the words in photos that `embedder.prepare` made ready."""
        rows = torch.cat([row for row, _ in self.embedder.regions(seen)])
        return list(self.fitted.scores(rows))


@dataclass(frozen=True)
class SeenTwice:
    """Regions whose photos are prepared for a model of pictures and words as well.

    What `prepare` gives is a pair; `regions` takes the first of it, `concepts` the second.
    """

    inner: Regions
    looking: Looking

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
        return self.inner.prepare(image), self.looking.embedder.prepare(image)

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

    def concepts(self, prepared: Sequence[Both]) -> list[Float[Tensor, " A"]]:
        """Find the concepts."""
        return self.looking.scores([second for _, second in prepared])
