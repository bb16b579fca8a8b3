"""What turns photos into regions, whatever the kind: rows of features with their boxes."""

import os
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap.data.features import BoxHead, Detector, Given, OfPhotos, Record
from miacap.devices import Device
from miacap.errors import RunError
from miacap.visual import backbones, detectors
from miacap.visual.detector_regions import DetectorRegions
from miacap.visual.grid import Grid
from miacap.visual.pixels import Pixels
from miacap.visual.places import Places


@runtime_checkable
class Preparing(Protocol):
    """What photos are made ready for: regions, or anything else that looks at photos.

    Attributes:
        record: to what size photos are reduced, and how transparency and EXIF are taken.
    """

    @property
    def record(self) -> OfPhotos:
        """To what size photos are reduced, and how transparency and EXIF are taken."""

    def prepare(self, image: Image.Image | Pixels) -> Any:
        """Make an upright RGB photo ready; several threads may do this at once."""
        ...


@runtime_checkable
class Regions(Protocol):
    """Photos in, rows with their boxes out.

    Attributes:
        width: length of a row, V.
        record: how the rows are made, for stores and run folders.
    """

    @property
    def width(self) -> int:
        """Length of a row, V."""

    @property
    def record(self) -> OfPhotos:
        """How the rows are made, for stores and run folders."""

    def prepare(self, image: Image.Image | Pixels) -> Any:
        """Make an upright RGB photo (from `decode`, or its `Pixels`) ready for `regions`.

        Several threads may do this at once. What comes out is small, whatever the photo's size.
        """
        ...

    def regions(
        self, prepared: Sequence[Any]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Find the regions of photos that `prepare` made ready.

        Returns:
            For each photo its rows and their boxes (x0 y0 x1 y1, relative to the whole photo),
            float32, in memory of the CPU.
        """
        ...

    def rows(
        self, images: Sequence[Image.Image]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Find the regions of upright RGB photos: `regions` of what `prepare` gives."""
        ...


def regions_for(
    record: Record,
    device: Device = "auto",
    folder: str | os.PathLike[str] | None = None,
    places: Places | None = None,
) -> Regions:
    """Rebuild what made a store's or a run's regions, exactly.

    Args:
        record: of the store's manifest or the run's preprocessing.json.
        device: where its networks run; "auto" takes a GPU where torch sees one.
        folder: of the store or the run, which carries its detector's file, and its backbone's
            where that was tuned.
        places: where its weights may be found; None takes those of MIACAP_WEIGHTS, and the
            libraries' caches.

    Raises:
        UnknownName, MissingExtra: no such backbone, or it is not installed (says the pip line).
        RunError: features that somebody brought, which cannot be made from a photo; weights
            other than those that they were made with; a detector whose file is absent.
        SettingsError: a device that torch does not have.
    """
    if isinstance(record, Given):
        raise RunError(
            f"The features {record.name!r} were given, so this run cannot see photos: nothing "
            "here can make such features from one. Caption pictures whose features are stored: "
            "miacap evaluate RUN DATA --features FEATURES"
        )
    if isinstance(record, BoxHead):
        from miacap.visual import box_head  # its library is optional and slow to import

        found = box_head.FasterRcnn(record.detector, device, places, record.weights_sha256)
        return box_head.BoxHeadRegions(found, record)
    if isinstance(record, Detector):
        if folder is None:
            raise RunError(
                f"The features were found by the detector {record.title!r}, whose file lies in the "
                "folder of the store or the run; name that folder (folder=)."
            )
        grid = Grid(backbones.rebuild(record.pooling, device, places, folder), record.pooling)
        return DetectorRegions(detectors.carried(record, folder, device), grid, record)
    return Grid(backbones.rebuild(record, device, places, folder), record)
