"""Photos on their way into a store: what is looked at, tried again, set aside or refused.

Whatever looks at photos and keeps what it finds goes this way: regions, class names, the rows of a
model of pictures and words. Started again, it goes on where it was stopped. A photo that the
decoder refuses is set aside with the reason, and looked at again when its bytes changed. One that
is absent or cannot be read just now is listed, and tried again next time.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from miacap import terminal
from miacap.data.dataset import Dataset
from miacap.data.photos import Photos, sha256_of
from miacap.data.spelling import ByForm
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.data.writing import dtype_of
from miacap.errors import DataError, RunError
from miacap.parts import ALONE, WHOLE, Sharing
from miacap.progress import Progress
from miacap.visual import memory
from miacap.visual.found import Found, packed, unpacked
from miacap.visual.reading import Ready, prepared, summed
from miacap.visual.regions import Preparing
from miacap.wording import counted, first_lines, none

__all__ = ["AGAIN", "Looking", "Report", "fill", "tell"]

AGAIN = ", or have the features of changed ones made anew: --again (again=True)"
"""What else can be done where a command has `--again`."""

_LISTED = 20
_UNREADABLE_IN_A_ROW = 20
_PHOTOS_TOGETHER = 256


class Looking(Preparing, Protocol):
    """What looks at photos that it made ready: `Regions`, or what finds rows without boxes."""

    def regions(self, prepared: Sequence[Any]) -> Sequence[tuple[Tensor, Tensor | None]]:
        """Give what a store keeps of each photo: rows, and their boxes where they have some."""
        ...


@dataclass
class Report:
    """Photos that were not simply looked at, and what is said of each.

    Attributes:
        absent: not there, or not to be read just now; tried again next time.
        broken: set aside, in this call or before.
        noted: read, with a note.
        to_install: those of `broken` whose photo may be whole: a package is not installed.
    """

    absent: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    noted: dict[str, str] = field(default_factory=dict)
    to_install: set[str] = field(default_factory=set)


def fill(
    dataset: Dataset, folder: str | os.PathLike[str], manifest: Manifest, finder: Looking, *,
    label: str, batch_size: int, quiet: bool, shard_size: int = 512, again: bool = False,
    else_do: str = "", begin: Callable[[Path], None] | None = None, sharing: Sharing = ALONE,
) -> tuple[FeatureStore, Report]:  # fmt: skip
    """Fill a store with what is found in a dataset's photos, or go on filling it.

    Args:
        dataset: its photos are looked at.
        folder: of the store; made if absent.
        manifest: what the store is about.
        finder: what looks.
        label: of the progress.
        batch_size: photos that are looked at together.
        quiet: show no progress.
        shard_size: photos a shard of the store.
        again: as for `extract`.
        else_do: what can be done, beside another folder, where photos changed; begins with a comma.
        begin: is done in the folder before the first photo.
        sharing: as for `extract`.

    Returns:
        The store, and which photos were not simply looked at; `tell` lists them.

    Raises:
        DataError: not one of the photos is there, or many in a row could not be read.
        RunError: the folder holds what was made otherwise, or of other photos.
    """
    present = [id for id in dataset.ids if id in dataset.photos]
    report = Report(absent=_absent(dataset, present))
    writer = StoreWriter(folder, manifest, shard_size)
    with ExitStack() as held:

        def left() -> list[str]:
            held.enter_context(writer)
            if begin is not None:
                begin(writer.folder)
            writer.retry(_changed(dataset.photos, present, writer, again, else_do, quiet))
            done = ByForm(dict.fromkeys(writer.done))  # older stores may have names in NFD
            return [id for id in present if id not in done]

        ids = sharing.from_main(left)
        found = _looked(dataset.photos, list(sharing.part.groups(ids, batch_size)), finder)
        if sharing.part != WHOLE:
            dtype = dtype_of(writer.manifest)
            sent = sharing.in_turn(packed(batch, dtype) for batch in found)
            found = (unpacked(data) for data in sent)
        # The others draw nothing here, and send what they found meanwhile.
        with Progress(label, len(ids), "photos", quiet) as progress:
            filling = _Filling(writer, report)
            for batch in found:
                filling.store(batch)
                progress.advance(len(batch))
        report.broken = {id: writer.reasons[id] for id in dataset.ids if id in writer.reasons}
    sharing.from_main(lambda: None)  # the store is whole
    return FeatureStore.open(folder), report


def tell(report: Report) -> None:
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
            terminal.tell(f"{counted(len(lines), f'photo {one}', f'photos {several}')}:")
            for line in first_lines(lines.values(), _LISTED):
                terminal.tell(f"  {line}")


def _looked(
    photos: Photos, groups: Sequence[Sequence[str]], finder: Looking
) -> Iterator[list[Found]]:
    """Read photos and look at them, so many at a time."""
    sums: dict[str, str] = {}
    sources = ((id, summed(photos, id, sums)) for group in groups for id in group)
    ahead = prepared(sources, finder)
    for group in groups:
        batch = list(islice(ahead, len(group)))
        pictures = [photo.picture for photo in batch if photo.picture is not None]
        with memory.decoded.hold(memory.NETWORK):
            rows = iter(finder.regions(pictures) if pictures else ())
        yield [
            Found(
                replace(photo, picture=None),
                None if photo.picture is None else next(rows),
                sums.pop(photo.id, None),
            )
            for photo in batch
        ]


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
    photos: Photos,
    present: Sequence[str],
    writer: StoreWriter,
    again: bool,
    else_do: str,
    quiet: bool,
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
            f"Choose another folder for other photos{else_do}."
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

    def __init__(self, writer: StoreWriter, report: Report) -> None:
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
