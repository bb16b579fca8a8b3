"""From what the lines of a caption file say to a dataset: merged, split, checked, set aside."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from miacap.data.dataset import Dataset, Entry, SetAside, Source, source
from miacap.data.photos import NoPhotos, Photos, locate
from miacap.data.splits import Splits, draw_split, read_splits, split_name
from miacap.errors import DataError


@dataclass
class Record:
    """What a caption file says about one picture so far.

    Attributes:
        where: file and line of the first mention.
        file: the photo's file name, relative to the folder of photos.
        captions: in the order of the file.
        split: as the file says it, or None.
    """

    where: str
    file: str
    captions: list[str] = field(default_factory=list)
    split: str | None = None


@dataclass
class Reading:
    """A caption file as it is read: records by id, and what could not be read."""

    sources: list[Source] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    set_aside: list[SetAside] = field(default_factory=list)

    @property
    def has_splits(self) -> bool:
        """Whether the file itself says who is in which split."""
        return any(record.split is not None for record in self.records.values())

    def mention(self, id: str, where: str, file: str = "", split: Any = None) -> Record:
        """Give the record of a picture, made at its first mention.

        Raises:
            DataError: the picture was in another split before.
        """
        if split is not None and not isinstance(split, str | int):
            raise DataError(
                f"{where}: the split of {id} is text, not {type(split).__name__}; write train, dev "
                "or test."
            )
        record = self.records.setdefault(id, Record(where, file or id))
        name = split_name(str(split)) if split is not None and str(split).strip() else None
        if name and record.split and name != record.split:
            raise DataError(
                f"{where}: {id} is in the split {name}, but {record.where} puts it into "
                f"{record.split}; a picture belongs to one."
            )
        record.split = record.split or name
        return record

    def caption(self, id: str, where: str, caption: Any) -> None:
        """Add one caption, or set it aside and say why."""
        reason = _fault(caption)
        if reason:
            self.leave_out(id, where, reason)
        else:
            self.records[id].captions.append(caption.strip())

    def leave_out(self, id: str, where: str, reason: str) -> None:
        """Set something aside."""
        self.set_aside.append(SetAside(id, where, reason))

    def dataset(
        self,
        name: str,
        photos: str | os.PathLike[str] | Photos,
        splits: Splits | str | os.PathLike[str] | None,
    ) -> Dataset:
        """Assign splits, look for the photos, and set aside the pictures that have none.

        Raises:
            DataError: no captions at all, no photo at all, or contradictory splits.
        """
        assigned, files = read_splits(splits)
        self.sources += [source(path) for path in files]
        assigned = self._known(assigned, name)
        if not any(record.captions for record in self.records.values()):
            raise DataError(
                f"{name}: no captions at all in {', '.join(s.name for s in self.sources)}; "
                f"{len(self.records)} pictures were named.{self._first_reason()}"
            )
        if isinstance(photos, str | os.PathLike):
            found = locate(Path(photos), {id: r.file for id, r in self.records.items()})
            self._drop_missing(name, found, photos)
        else:
            found = photos
            if not isinstance(found, NoPhotos):
                self._drop_missing(name, found, "the photos given")
        pictures = tuple(
            Entry(id, tuple(record.captions), _split(id, record, assigned))
            for id, record in self.records.items()
        )
        return Dataset(name, pictures, found, tuple(self.set_aside), tuple(self.sources))

    def _known(self, assigned: Mapping[str, str], name: str) -> dict[str, str]:
        """Listed ids as the captions spell them; listed pictures without captions join them."""
        known: dict[str, str] = {}
        for id, split in assigned.items():
            spelled = next((s for s in (id, f"{id}.jpg") if s in self.records), id)
            if spelled not in self.records:
                self.mention(spelled, f"{name}: list of the {split} split")
            known[spelled] = split
        return known

    def _drop_missing(self, name: str, photos: Photos, place: object) -> None:
        missing = [id for id in self.records if id not in photos]
        if missing and len(missing) == len(self.records):
            raise DataError(
                f"{name}: none of the {len(missing)} photos is in {place}, {missing[0]!r} for one; "
                "say where they are with photos."
            )
        for id in missing:
            self.leave_out(id, self.records.pop(id).where, "no such photo")

    def _first_reason(self) -> str:
        if not self.set_aside:
            return ""
        first = self.set_aside[0]
        return f" Set aside: {len(self.set_aside)}, the first: {first.where}: {first.reason}."


def _split(id: str, record: Record, assigned: Mapping[str, str]) -> str:
    if assigned:
        return assigned.get(id, "none")
    return record.split or draw_split(id)


def _fault(caption: Any) -> str:
    if not isinstance(caption, str):
        return f"a caption is text, not {type(caption).__name__}"
    if not caption.strip():
        return "blank caption"
    try:
        caption.encode("utf-8")
    except UnicodeEncodeError:
        return "the caption holds half a character (a lone surrogate)"
    return ""
