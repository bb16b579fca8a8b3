"""From a dataset's photos to a store of regions: resumable, one thread ahead of the network."""

import os
from pathlib import Path

from miacap.data.dataset import Dataset
from miacap.data.features import Preprocessing
from miacap.data.store import FeatureStore, Manifest
from miacap.devices import Device
from miacap.parts import ALONE, Sharing
from miacap.version import __version__
from miacap.visual import backbones, detectors, tuned
from miacap.visual.backbone import Backbone
from miacap.visual.detector_regions import DetectorRegions
from miacap.visual.filling import AGAIN, fill, tell
from miacap.visual.grid import Grid, preprocessing_for
from miacap.visual.lite import Lite
from miacap.visual.regions import Regions


def extract(
    dataset: Dataset,
    folder: str | os.PathLike[str],
    backbone: str | Backbone = backbones.DEFAULT,
    batch_size: int = 16,
    quiet: bool = False,
    *,
    preprocessing: Preprocessing | None = None,
    regions: Regions | None = None,
    device: Device = "auto",
    shard_size: int = 512,
    again: bool = False,
    sharing: Sharing = ALONE,
) -> FeatureStore:
    """Extract the regions of a dataset's photos into a feature store.

    Started again, it goes on where it was stopped. Photos that the decoder refuses are set aside
    in the store, with the reason, and looked at again when they changed. Photos that are absent
    or cannot be read are listed and tried again next time.

    Args:
        dataset: its photos are read, its captions are not.
        folder: of the store; made if absent.
        backbone: a name, as `backbones.load` takes it, or a loaded backbone.
        batch_size: photos that go through the backbone together.
        quiet: no progress, no list of what was set aside (the store has it).
        preprocessing: how photos are prepared; None takes the backbone's defaults.
        regions: what finds the regions, in place of backbone and preprocessing (see
            `regions_named`); the store carries its detector, and a backbone that was tuned, along.
        device: where a backbone given by name runs; "auto" takes a GPU where torch sees one.
        shard_size: photos a shard of the store.
        again: look at all photos again that were set aside, and extract those anew that are not
            the photos that their features were made of.
        sharing: processes that share the photos out, batch by batch; each calls this alike, and
            the main one writes. All have to see the photos and the folder.

    Raises:
        DataError: not one of the photos is there, or many in a row could not be read.
        RunError: the folder holds features that were made otherwise, or of other photos.
        UnknownName, MissingExtra: no such backbone, or it is not installed.
        SettingsError: a device that torch does not have.
    """
    if regions is None:
        net = backbones.load(backbone, device) if isinstance(backbone, str) else backbone
        regions = Grid(net, preprocessing or preprocessing_for(net))
    store, report = fill(
        dataset, folder, manifest_of(regions), regions, label="Extracting regions",
        batch_size=batch_size, quiet=quiet, shard_size=shard_size, again=again, else_do=AGAIN,
        begin=lambda path: _keep_networks(regions, path), sharing=sharing,
    )  # fmt: skip
    if not quiet:
        tell(report)
    return store


def _keep_networks(regions: Regions, folder: Path) -> None:
    """Have the store carry its detector, and a backbone that was tuned."""
    if isinstance(regions, DetectorRegions):
        detectors.keep(regions.detector.data, folder)
    grid = regions.grid if isinstance(regions, DetectorRegions) else regions
    if isinstance(grid, Grid) and isinstance(grid.backbone, Lite) and grid.backbone.folder:
        tuned.copy(grid.record, grid.backbone.folder, folder)


def manifest_of(regions: Regions) -> Manifest:
    """Say of a store that it holds these regions."""
    return Manifest(
        kind="regions",
        preprocessing=regions.record,
        width=regions.width,
        words=None,
        extractor=None,
        made_by=f"miacap {__version__}",
    )
