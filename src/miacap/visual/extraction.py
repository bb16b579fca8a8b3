"""From a dataset's photos to a store of regions: resumable, one thread ahead of the network."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from miacap.data.dataset import Dataset
from miacap.data.features import Preprocessing
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.devices import Device
from miacap.errors import DataError
from miacap.progress import Progress
from miacap.version import __version__
from miacap.visual import backbones
from miacap.visual.backbone import Backbone
from miacap.visual.grid import Grid, preprocessing_for
from miacap.visual.reading import Ready, prepared
from miacap.visual.regions import Regions

_LISTED = 20


@dataclass
class _Report:
    absent: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def extract(
    dataset: Dataset,
    folder: str | os.PathLike[str],
    backbone: str | Backbone = backbones.DEFAULT,
    batch_size: int = 16,
    quiet: bool = False,
    *,
    preprocessing: Preprocessing | None = None,
    device: Device = "auto",
    shard_size: int = 512,
) -> FeatureStore:
    """Extract the regions of a dataset's photos into a feature store.

    Started again, it goes on after the last finished shard. Broken photos are set aside in the
    store, with the reason; photos that are absent are listed and tried again next time.

    Args:
        dataset: its photos are read, its captions are not.
        folder: of the store; made if absent.
        backbone: a name, as `backbones.load` takes it, or a loaded backbone.
        batch_size: photos that go through the backbone together.
        quiet: no progress, no list of what was set aside (the store has it).
        preprocessing: how photos are prepared; None takes the backbone's defaults.
        device: where a backbone given by name runs; "auto" takes a GPU where torch sees one.
        shard_size: photos a shard of the store.

    Raises:
        DataError: not one of the photos is there.
        RunError: the folder holds features that were made otherwise.
        UnknownName, MissingExtra: no such backbone, or it is not installed.
        SettingsError: a device that torch does not have.
    """
    net = backbones.load(backbone, device) if isinstance(backbone, str) else backbone
    grid = Grid(net, preprocessing or preprocessing_for(net))
    manifest = Manifest(
        kind="regions",
        preprocessing=grid.record,
        width=grid.width,
        words=None,
        extractor=None,
        made_by=f"miacap {__version__}",
    )
    report = _Report(absent=[id for id in dataset.ids if id not in dataset.photos])
    if dataset.ids and len(report.absent) == len(dataset):
        raise DataError(
            f"{dataset.name}: none of its {len(dataset)} photos is there, {dataset.ids[0]!r} for "
            "one; say in which folder or tar the photos are."
        )
    with StoreWriter(folder, manifest, shard_size) as writer:
        skip = writer.done | set(report.absent)
        aside = FeatureStore.open(folder).set_aside  # in earlier sittings
        report.broken |= {id: aside[id] for id in dataset.ids if id in aside}
        ids = [id for id in dataset.ids if id not in skip]
        with Progress("Extracting regions", len(ids), "photos", quiet) as progress:
            photos = ((id, partial(dataset.photos.read, id)) for id in ids)
            for batch in _batches(prepared(photos, grid), batch_size):
                _store(batch, grid, writer, report)
                progress.advance(len(batch))
            _tell(report, progress)
    return FeatureStore.open(folder)


def _batches(items: Iterator[Ready], size: int) -> Iterator[list[Ready]]:
    while batch := list(islice(items, size)):
        yield batch


def _store(batch: Sequence[Ready], regions: Regions, writer: StoreWriter, report: _Report) -> None:
    seen = iter(regions.regions([photo.picture for photo in batch if photo.picture is not None]))
    for photo in batch:
        if photo.picture is None:
            report.broken[photo.id] = photo.reason
            writer.set_aside(photo.id, photo.reason)
        else:
            writer.add(photo.id, *next(seen))


def _tell(report: _Report, progress: Progress) -> None:
    """List what was left out: the first few, and how many there are."""
    absent = {id: f"{id}: the photo is not there" for id in report.absent}
    for what, lines in (("broken and set aside", report.broken), ("absent", absent)):
        if lines:
            progress.note(f"{len(lines)} photos are {what}:")
            for line in list(lines.values())[:_LISTED]:
                progress.note(f"  {line}")
            if len(lines) > _LISTED:
                progress.note(f"  and {len(lines) - _LISTED} more")
