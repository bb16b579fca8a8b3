"""From a dataset's photos to a store of regions: resumable, one thread ahead of the network."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from miacap import settings
from miacap.data.dataset import Dataset
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.errors import DataError
from miacap.progress import Progress
from miacap.version import __version__
from miacap.visual import backbones
from miacap.visual.contract import Backbone
from miacap.visual.grid import Grid, preprocessing_for
from miacap.visual.photo import decode
from miacap.visual.preparing import Preprocessing, prepare

_LISTED = 20


@dataclass(frozen=True)
class Ready:
    """A photo ready for the backbone, or why it is not.

    Attributes:
        id: of the picture.
        pixels: prepared, 3 x size x size; None where the photo is broken.
        size: width and height of the upright photo, in pixels.
        reason: what is wrong with a broken one; it begins with the id.
    """

    id: str
    pixels: Float[Tensor, "3 H W"] | None = None
    size: tuple[int, int] = (0, 0)
    reason: str = ""


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
    device: str | torch.device = "cpu",
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
        device: where a backbone given by name runs.
        shard_size: photos a shard of the store.

    Raises:
        DataError: not one of the photos is there.
        RunError: the folder holds features that were made otherwise.
        UnknownName, MissingExtra: no such backbone, or it is not installed.
    """
    net = backbones.load(backbone, device) if isinstance(backbone, str) else backbone
    grid = Grid(net, preprocessing or preprocessing_for(net))
    manifest = Manifest(
        kind="regions",
        preprocessing=settings.to_json(grid.preprocessing),
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
            for batch in _batches(prepared(ids, dataset.photos.read, grid), batch_size):
                _store(batch, grid, writer, report)
                progress.advance(len(batch))
            _tell(report, progress)
    return FeatureStore.open(folder)


def prepared(
    ids: Iterable[str], read: Callable[[str], bytes], grid: Grid, workers: int | None = None
) -> Iterator[Ready]:
    """Read, decode and prepare photos in threads, a little ahead of whoever takes them.

    Args:
        ids: of the photos; drawn from as needed, so they may be endless.
        read: gives a photo's bytes, and raises DataError where it cannot.
        grid: its preprocessing is used.
        workers: threads; None takes as many as there are cores, at most four.

    Yields:
        One `Ready` for each id, in the order of ``ids``.
    """
    count = workers or min(4, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(count, thread_name_prefix="photos")
    waiting: deque[Future[Ready]] = deque()
    names = iter(ids)
    try:
        while True:
            for id in islice(names, 32 + count - len(waiting)):
                waiting.append(pool.submit(_ready, id, read, grid.preprocessing))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ready(id: str, read: Callable[[str], bytes], preprocessing: Preprocessing) -> Ready:
    try:
        image = decode(read(id), id, preprocessing.alpha, preprocessing.exif)
    except DataError as error:
        return Ready(id, reason=str(error))
    return Ready(id, prepare(image, preprocessing), image.size)


def _batches(items: Iterator[Ready], size: int) -> Iterator[list[Ready]]:
    while batch := list(islice(items, size)):
        yield batch


def _store(batch: Sequence[Ready], grid: Grid, writer: StoreWriter, report: _Report) -> None:
    pixels = [photo.pixels for photo in batch if photo.pixels is not None]
    rows = iter(grid.rows_of(torch.stack(pixels)).cpu() if pixels else ())
    for photo in batch:
        if photo.pixels is None:
            report.broken[photo.id] = photo.reason
            writer.set_aside(photo.id, photo.reason)
        else:
            writer.add(photo.id, next(rows), grid.boxes(photo.size))


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
