"""From a dataset's photos to a store of regions: resumable, one thread ahead of the network."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from miacap.data.dataset import Dataset
from miacap.data.features import Preprocessing
from miacap.data.photos import Photos, sha256_of
from miacap.data.spelling import ByForm
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.data.writing import dtype_of
from miacap.devices import Device
from miacap.errors import DataError, RunError
from miacap.parts import ALONE, WHOLE, Sharing
from miacap.progress import Progress
from miacap.version import __version__
from miacap.visual import backbones, detectors, memory, tuned
from miacap.visual.backbone import Backbone
from miacap.visual.detector_regions import DetectorRegions
from miacap.visual.found import Found, packed, unpacked
from miacap.visual.grid import Grid, preprocessing_for
from miacap.visual.lite import Lite
from miacap.visual.reading import Ready, prepared, summed
from miacap.visual.regions import Regions
from miacap.wording import counted, first_lines, none

_LISTED = 20
_UNREADABLE_IN_A_ROW = 20
_PHOTOS_TOGETHER = 256


@dataclass
class _Report:
    absent: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    noted: dict[str, str] = field(default_factory=dict)
    to_install: set[str] = field(default_factory=set)
    """Set aside because a package is not installed; the photo itself may be whole."""


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
    present = [id for id in dataset.ids if id in dataset.photos]
    report = _Report(absent=_absent(dataset, present))
    writer = StoreWriter(folder, _manifest(regions), shard_size)
    with ExitStack() as held:

        def begin() -> list[str]:
            held.enter_context(writer)
            _keep_networks(regions, writer.folder)
            writer.retry(_changed(dataset.photos, present, writer, again, quiet))
            done = ByForm(dict.fromkeys(writer.done))  # older stores may have names in NFD
            return [id for id in present if id not in done]

        ids = sharing.from_main(begin)
        found = _looked(dataset.photos, list(sharing.part.groups(ids, batch_size)), regions)
        if sharing.part != WHOLE:
            dtype = dtype_of(writer.manifest)
            sent = sharing.in_turn(packed(batch, dtype) for batch in found)
            found = (unpacked(data) for data in sent)
        # The others draw nothing here, and send what they found meanwhile.
        _fill(dataset, ids, found, writer, report, quiet)
    sharing.from_main(lambda: None)  # the store is whole
    return FeatureStore.open(folder)


def _looked(
    photos: Photos, groups: Sequence[Sequence[str]], regions: Regions
) -> Iterator[list[Found]]:
    """Read photos and find their regions, so many at a time."""
    sums: dict[str, str] = {}
    sources = ((id, summed(photos, id, sums)) for group in groups for id in group)
    ahead = prepared(sources, regions)
    for group in groups:
        batch = list(islice(ahead, len(group)))
        pictures = [photo.picture for photo in batch if photo.picture is not None]
        with memory.decoded.hold(memory.NETWORK):
            rows = iter(regions.regions(pictures) if pictures else ())
        yield [
            Found(
                replace(photo, picture=None),
                None if photo.picture is None else next(rows),
                sums.pop(photo.id, None),
            )
            for photo in batch
        ]


def _fill(
    dataset: Dataset, ids: Sequence[str], found: Iterator[list[Found]], writer: StoreWriter,
    report: "_Report", quiet: bool,
) -> None:  # fmt: skip
    """Store what was found."""
    with Progress("Extracting regions", len(ids), "photos", quiet) as progress:
        filling = _Filling(writer, report)
        for batch in found:
            filling.store(batch)
            progress.advance(len(batch))
        report.broken = {id: writer.reasons[id] for id in dataset.ids if id in writer.reasons}
        _tell(report, progress)


def _keep_networks(regions: Regions, folder: Path) -> None:
    """Have the store carry its detector, and a backbone that was tuned."""
    if isinstance(regions, DetectorRegions):
        detectors.keep(regions.detector.data, folder)
    grid = regions.grid if isinstance(regions, DetectorRegions) else regions
    if isinstance(grid, Grid) and isinstance(grid.backbone, Lite) and grid.backbone.folder:
        tuned.copy(grid.record, grid.backbone.folder, folder)


def _manifest(regions: Regions) -> Manifest:
    return Manifest(
        kind="regions",
        preprocessing=regions.record,
        width=regions.width,
        words=None,
        extractor=None,
        made_by=f"miacap {__version__}",
    )


def _absent(dataset: Dataset, present: Sequence[str]) -> dict[str, str]:
    """Say of each photo that is not there that it is not. Raises DataError if none is."""
    if dataset.ids and not present:
        raise DataError(
            f"{dataset.name}: {none(len(dataset), 'photo')} is there, {dataset.ids[0]!r} for one; "
            "say in which folder or tar the photos are."
        )
    there = set(present)
    return {id: f"{id}: the photo is not there" for id in dataset.ids if id not in there}


def _changed(
    photos: Photos, present: Sequence[str], writer: StoreWriter, again: bool, quiet: bool
) -> list[str]:
    """Name the photos to look at once more: set aside before and changed, or asked for.

    Raises RunError where photos with features are not those that the features were made of.
    """
    known = [id for id in present if id in writer.done]
    retried = [id for id in known if id in writer.reasons and (again or id not in writer.photos)]
    skip = set(retried)
    compared = [id for id in known if id in writer.photos and id not in skip]
    others: list[str] = []
    if compared:
        with Progress("Comparing photos with the store", len(compared), "photos", quiet) as bar:
            for id, digest in _sums(photos, compared):
                if digest not in ("", writer.photos[id]):
                    (retried if again or id in writer.reasons else others).append(id)
                bar.advance()
    if others:
        what = f"{len(others)} photos are not those"
        if len(others) == 1:
            what = "a photo is not the one"
        raise RunError(
            f"{writer.folder}: {what} that these features were made of, the first: {others[0]!r}. "
            "Choose another folder for other photos, or have the features of changed ones made "
            "anew: --again (again=True)."
        )
    return retried


def _sums(photos: Photos, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give the SHA-256 of each photo, "" where it cannot be read."""

    def one(id: str) -> str:
        try:
            return sha256_of(photos, id)
        except DataError:
            return ""

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="photos") as pool:
        for start in range(0, len(ids), _PHOTOS_TOGETHER):
            some = ids[start : start + _PHOTOS_TOGETHER]
            yield from zip(some, pool.map(one, some), strict=True)


class _Filling:
    """Photos on their way from the network into the store."""

    def __init__(self, writer: StoreWriter, report: _Report) -> None:
        self.writer, self.report = writer, report
        self._unreadable = 0

    def store(self, batch: Iterable[Found]) -> None:
        """Store a batch. Raises DataError where many photos in a row could not be read."""
        for found in batch:
            photo = found.photo
            if found.regions is not None:
                self.writer.add(photo.id, *found.regions, photo=found.digest)
            elif photo.broken:
                # Without a checksum it is looked at again each time: by then it may be installed.
                self._set_aside(photo, None if photo.to_install else found.digest)
                if photo.to_install:
                    self.report.to_install.add(photo.id)
            else:
                self._miss(photo)
                continue
            self._unreadable = 0
            if photo.note:
                self.report.noted[photo.id] = photo.note

    def _set_aside(self, photo: Ready, digest: str | None) -> None:
        same = self.writer.reasons.get(photo.id) == photo.reason
        if not (same and self.writer.photos.get(photo.id) == digest):
            self.writer.set_aside(photo.id, photo.reason, photo=digest)

    def _miss(self, photo: Ready) -> None:
        self.report.absent[photo.id] = photo.reason
        self._unreadable += 1
        if self._unreadable >= _UNREADABLE_IN_A_ROW:
            raise DataError(
                f"{self._unreadable} photos in a row could not be read, the last: {photo.reason} "
                "What was extracted is kept; when the photos can be read, start the same command "
                "again."
            )


def _tell(report: _Report, progress: Progress) -> None:
    """List what was left out or read with a note: the first few, and how many there are."""
    broken = {id: why for id, why in report.broken.items() if id not in report.to_install}
    unread = {id: why for id, why in report.broken.items() if id in report.to_install}
    absent = "absent or unreadable, and tried again next time"
    lists = (
        ("is broken and set aside", "are broken and set aside", broken),
        ("could not be read and is set aside", "could not be read and are set aside", unread),
        (f"is {absent}", f"are {absent}", report.absent),
        ("is read, with a note", "are read, with a note", report.noted),
    )
    for one, several, lines in lists:
        if lines:
            progress.note(f"{counted(len(lines), f'photo {one}', f'photos {several}')}:")
            for line in first_lines(lines.values(), _LISTED):
                progress.note(f"  {line}")
