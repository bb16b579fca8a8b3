"""Batches of photos for a network that learns: an order and views drawn from the seed.

    order of an epoch     drawn from (seed, epoch)
    view of a photo       drawn from (seed, epoch, name of the picture): mirrored or not, a part
                          whose sides are between 1 - `crops` and 1 of the whole's   [photos:view]

A part that fills the network's input shows things larger than the whole photo does, and a network
expects what it learned from. `crop_size` gives parts a smaller input than whole photos have, so
that things are about as large in both (Touvron et al. 2019, "Fixing the train-test resolution
discrepancy").

So batches depend on the epoch alone, whatever was read before them: a training that was stopped
anywhere goes on exactly.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from miacap import terminal
from miacap.data.features import Preprocessing
from miacap.data.photos import Photos
from miacap.errors import DataError
from miacap.files import read_json, write_json
from miacap.parts import WHOLE as ALL
from miacap.parts import Part
from miacap.progress import Progress
from miacap.visual.grid import stacked
from miacap.visual.pixels import Pixels
from miacap.visual.preprocessing import WHOLE, View, prepare
from miacap.visual.reading import prepared, prepared_each, summed
from miacap.wording import counted, first_lines

_LISTED = 10


@dataclass(frozen=True)
class Looked:
    """What came of a look at photos.

    Attributes:
        sums: SHA-256 of each photo that can be read, by picture.
        aside: why a photo cannot be read, by picture.
    """

    sums: dict[str, str] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)


def look(
    photos: Photos, names: Sequence[str], record: Preprocessing, quiet: bool = False
) -> Looked:
    """Read and decode every photo once, and say which cannot be read.

    Args:
        photos: where they are.
        names: the pictures.
        record: how they will be prepared.
        quiet: show no progress.
    """
    found = Looked()
    present = [name for name in names if name in photos]
    there = set(present)
    for name in names:
        if name not in there:
            found.aside[name] = f"{name}: the photo is not there"
    sums: dict[str, str] = {}
    items = ((name, summed(photos, name, sums)) for name in present)
    with Progress("Looking at photos", len(present), "photos", quiet) as progress:
        for ready in prepared(items, _Glance(record)):
            if ready.picture is None:
                found.aside[ready.id] = ready.reason
            else:
                found.sums[ready.id] = sums.pop(ready.id)
            progress.advance()
    return found


def look_once(
    file: Path, photos: Photos, names: Sequence[str], record: Preprocessing, quiet: bool = False
) -> Looked:
    """Give what a look at photos found, from `file` where an earlier call left it there.

    What cannot be read is told on standard error, unless quiet.
    """
    if file.is_file():
        before: dict[str, Any] = read_json(file)
        return Looked(before["sums"], before["set aside"])
    looked = look(photos, names, record, quiet)
    if looked.aside and not quiet:
        one, several = "photo cannot be read and is", "photos cannot be read and are"
        terminal.tell(f"{counted(len(looked.aside), one, several)} left out:")
        for line in first_lines(looked.aside.values(), _LISTED):
            terminal.tell(f"  {line}")
    write_json(file, {"format": 1, "sums": looked.sums, "set aside": looked.aside})
    return looked


def drawn(seed: int, epoch: int, name: str, flips: bool, crops: float) -> View:
    """Draw the view of a picture in an epoch. [photos:view]"""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    chance = np.random.default_rng((seed, epoch, int.from_bytes(digest[:8], "big")))
    mirrored, side, left, top = chance.random(4).tolist()
    side = 1.0 - crops * side
    return View(left * (1 - side), top * (1 - side), side, flips and mirrored < 0.5)


class PhotoBatches:
    """Photos as batches of a backbone's input.

    Args:
        photos: where they are.
        sums: the pictures, with the SHA-256 of their photos (`look`).
        record: how photos are prepared.
        batch_size: photos a batch; the last one may be smaller.
        seed: of order and views.
        flips: mirror every second photo.
        crops: show a part of a photo, with sides of at least 1 - `crops`; 0 shows the whole.
        crop_size: what the network sees in an epoch, in pixels, as `record.size`, which is what it
            sees of whole photos (`ordered`); None: as much.

    Raises:
        DataError: there is no picture.
        SettingsError: a size that no network takes.
    """

    def __init__(
        self,
        photos: Photos,
        sums: Mapping[str, str],
        record: Preprocessing,
        batch_size: int = 16,
        *,
        seed: int = 0,
        flips: bool = True,
        crops: float = 0.2,
        crop_size: int | tuple[int, int] | None = None,
    ) -> None:
        if not sums:
            raise DataError("No photos to make batches of.")
        self.names = tuple(sums)
        self.batch_size = batch_size
        self._photos, self._sums, self._record = photos, sums, record
        self._seed, self._flips, self._crops = seed, flips, crops
        self._cropped = record if crop_size is None else replace(record, size=crop_size)

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.names) // self.batch_size)

    def epoch(
        self, number: int, skip: int = 0, part: Part = ALL
    ) -> Iterator[tuple[list[int], Float[Tensor, "B 3 H W"]] | None]:
        """Give each photo once, as it is seen in this epoch, with its index in `names`.

        Args:
            number: of the epoch, from 0.
            skip: leave out so many batches at the start, unread.
            part: read this part of every batch; None where a batch has fewer photos than parts.

        Raises:
            DataError: a photo cannot be read any more, or changed.
        """
        order = np.random.default_rng((self._seed, number)).permutation(len(self.names)).tolist()
        starts = range(skip * self.batch_size, len(order), self.batch_size)
        groups = [list(part.of(order[start : start + self.batch_size])) for start in starts]
        views = [
            [drawn(self._seed, number, self.names[i], self._flips, self._crops) for i in group]
            for group in groups
        ]
        yield from self._batches(groups, views, self._cropped)

    def ordered(self) -> Iterator[tuple[list[int], Float[Tensor, "B 3 H W"]]]:
        """Give each photo once, whole and not mirrored, in the order of `names`."""
        starts = range(0, len(self.names), self.batch_size)
        groups = [list(range(len(self.names)))[start : start + self.batch_size] for start in starts]
        views = [[WHOLE] * len(group) for group in groups]
        for batch in self._batches(groups, views, self._record):
            assert batch is not None
            yield batch

    def _batches(
        self, groups: list[list[int]], views: list[list[View]], record: Preprocessing
    ) -> Iterator[tuple[list[int], Float[Tensor, "B 3 H W"]] | None]:
        sums: dict[str, str] = {}
        items = (
            (name, summed(self._photos, name, sums), _Seen(record, view))
            for name, view in zip(
                (self.names[index] for group in groups for index in group),
                (view for some in views for view in some),
                strict=True,
            )
        )
        ahead = prepared_each(items, record.side)
        for indices in groups:
            if not indices:
                yield None
                continue
            group = list(islice(ahead, len(indices)))
            for ready in group:
                if ready.picture is None:
                    raise DataError(
                        f"{ready.reason} It could be read when this began; when it can be read "
                        "again, the same command goes on."
                    )
                if sums.pop(ready.id) != self._sums[ready.id]:
                    raise DataError(
                        f"{ready.id}: the photo is not the one that this was begun with; put it "
                        "back, or choose another folder to begin anew."
                    )
            yield indices, stacked([r.picture for r in group])


@dataclass(frozen=True)
class _Seen:
    """Prepares a photo as it is seen this time."""

    record: Preprocessing
    view: View

    def prepare(self, image: Image.Image | Pixels) -> Any:
        return prepare(image, self.record, self.view)


@dataclass(frozen=True)
class _Glance:
    """Prepares nothing: that the photo can be decoded is all that is wanted."""

    record: Preprocessing

    def prepare(self, image: Image.Image | Pixels) -> Any:
        return True
