"""What can caption pictures: one trained run, or several joined."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from torch import nn

from miacap.concepts import ConceptSource, Extractor, Finder
from miacap.data.features import Record
from miacap.devices import Device
from miacap.runs.settings import RunSettings
from miacap.text import Vocabulary
from miacap.visual import Places

if TYPE_CHECKING:
    from miacap.runs.folder import Run

__all__ = ["Trained"]


@runtime_checkable
class Trained(Protocol):
    """A run, or several whose word probabilities are averaged."""

    @property
    def folder(self) -> Path:
        """Folder of the run, or of the first one; for messages."""

    @property
    def settings(self) -> RunSettings:
        """Settings of search and concepts; of several, the first one's search."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Words that captions are made of."""

    @property
    def preprocessing(self) -> Record:
        """How the features that it reads were made."""

    @property
    def members(self) -> "tuple[Run, ...]":
        """The runs that it is made of; of one run, that run."""

    @property
    def reads(self) -> frozenset[str]:
        """What is read of a picture: "regions", "concepts", "scores"."""

    @property
    def rows(self) -> Literal["match", "aligned"]:
        """Whether a picture has as many concepts as regions."""

    @property
    def concepts(self) -> ConceptSource | None:
        """Where its concepts came from; None where it reads none."""

    def extractor(self, device: Device = "auto") -> Extractor | None:
        """Load the concept extractor; None for a run without one. Raises RunError."""

    def finder(self, device: Device = "auto", places: Places | None = None) -> Finder | None:
        """Load what finds concepts in photos, where that is more than an extractor; else None."""

    def captioner(self, device: Device = "auto") -> nn.Module:
        """Build the captioner with its best weights, in eval mode. Raises RunError."""
