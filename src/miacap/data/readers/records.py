"""From what the lines of a caption file say to a dataset: merged, split, checked, set aside."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from miacap.data.dataset import Dataset, Entry, SetAside, Source, source
from miacap.data.photos import (
    LOST,
    NoPhotos,
    OptionalPhotos,
    Photos,
    SeveralPhotos,
    checked_name,
    locate,
    nearly,
)
from miacap.data.split_tables import read_split_table
from miacap.data.splits import Splits, draw_split, read_splits, split_name
from miacap.errors import DataError
from miacap.reading import parse_json
from miacap.tables import captions
from miacap.tables.names import CAPTION_NAMES, is_address, same_form
from miacap.tables.text import TextFile
from miacap.wording import counted, none

_HINTS = 1000
"""Missing photos for which a name that is nearly the same is looked for."""


_SAY_WHERE = "; say where they are with --photos FOLDER (photos= in Python)"
_FETCH = (
    "; these are addresses, and nothing is fetched here: fetch them (the tars of img2dataset are "
    "read as they are), or, where a command needs no photos, read the captions alone (--photos "
    "none; photos=NoPhotos() in Python)"
)


@dataclass(frozen=True)
class CaptionFile:
    """A file of captions.

    Attributes:
        path: of the file.
        folder: where its photos are, relative to the folder that was named.
        split: of its pictures, or None where its name does not say.
    """

    path: Path
    folder: str = ""
    split: str | None = None


def shard_names(files: Sequence[CaptionFile]) -> dict[Path, str]:
    """Say what the pictures of each shard are called by where their own names do not do.

    A shard is called `train-0000` or, in the folder of its split, `train/0000`; where another one
    is called so, it has its folder's name in front (`data/train-0000`).
    """
    names: dict[str, Path] = {}
    for file in files:
        name = f"{file.folder}/{file.path.stem}" if file.folder else file.path.stem
        names[f"{file.path.parent.name}/{file.path.stem}" if name in names else name] = file.path
    return {path: name for name, path in names.items()}


@dataclass(frozen=True)
class CaptionText:
    """One file of captions, as text.

    Attributes:
        path: of the file.
        file: what was read of it.
        folder: in which its photos are, relative to the folder of photos; "" for that itself.
        split: of its pictures where the file does not say; None where nobody does.
    """

    path: Path
    file: TextFile
    folder: str = ""
    split: str | None = None

    @property
    def content(self) -> str:
        """The file's text, decoded and unpacked."""
        return self.file.text

    @cached_property
    def value(self) -> Any:
        """The content as one JSON value; parsed once. Raises DataError."""
        return parse_json(self.content, str(self.path))


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
    packed: list[Photos] = field(default_factory=list)
    """Photos that lie in the files of captions themselves."""
    lists_decide: bool = False
    """Whether lists beside the captions say more of the splits than what is in `records`."""
    _text: CaptionText | None = None

    @property
    def has_splits(self) -> bool:
        """Whether the file itself says who is in which split."""
        return any(record.split is not None for record in self.records.values())

    def begin(self, text: CaptionText, terms: str = "") -> None:
        """Say which file is read from here on, and under which terms it may be used."""
        self.sources.append(source(text.file, terms))
        self._text = text

    def begin_packed(self, source: Source) -> None:
        """Say which file is read from here on, where it is no text."""
        self.sources.append(source)
        self._text = None

    def mention(
        self, name: str, where: str, *, id: str = "", folder: object = None, split: Any = None
    ) -> str:
        """Note that a picture is spoken of, and give its id.

        Args:
            name: of its photo, as the file says it.
            where: file and line.
            id: its id, where that is not the photo's name.
            folder: of the photo, where the file says one; the id does not have it.
            split: as the file says it.

        Raises:
            DataError: the picture was in another split before, or the name leads out of the
                folder of photos.
        """
        parent = self._text.folder if self._text else ""
        if is_address(name):
            file = name.strip()
        else:
            file = str(PurePosixPath(parent) / checked_name(name, where))
        id = id or same_form(file)
        if isinstance(folder, str):
            file = checked_name(f"{folder}/{file}", where)
        if split is None and self._text:
            split = self._text.split
        record = self._record(id, where, file, split)
        if record.file != file and id == same_form(file) == same_form(record.file):
            self.leave_out(
                id, where, f"its name is in another Unicode form at {record.where}; read as one"
            )
        return id

    def _record(self, id: str, where: str, file: str, split: Any) -> Record:
        if split is not None and not isinstance(split, str | int):
            raise DataError(
                f"{where}: the split of {id} is text, not {type(split).__name__}; write train, dev "
                "or test."
            )
        record = self.records.setdefault(id, Record(where, file))
        name = split_name(str(split)) if split is not None and str(split).strip() else None
        if name and record.split and name != record.split:
            raise DataError(
                f"{where}: {id} is in the split {name}, but {record.where} puts it into "
                f"{record.split}; a picture belongs to one."
            )
        record.split = record.split or name
        return record

    def captions(self, id: str, where: str, value: Any) -> None:
        """Add the captions of a cell or of a JSON member, or set them aside and say why."""
        if captions.is_cut(value):
            self.leave_out(id, where, captions.CUT)
            return
        for item in captions.items(value, CAPTION_NAMES):
            if item is not None or not isinstance(value, list):
                self.caption(id, where, item)

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
        photos: Photos | OptionalPhotos | Sequence[Path],
        splits: Splits | str | os.PathLike[str] | None,
        keep: Collection[str] = (),
    ) -> Dataset:
        """Assign splits, look for the photos, and set aside the pictures that have none.

        Args:
            name: of the dataset.
            photos: where they are.
            splits: who is in which: a folder of lists, a table, or split -> list file or ids;
                None leaves what the files say.
            keep: splits of the files' own that a picture in no list stays in.

        Raises:
            DataError: no captions at all, no photo at all, or contradictory splits.
        """
        assigned = self._assigned(splits, name)
        if not any(record.captions for record in self.records.values()):
            raise DataError(
                f"{name}: no captions at all in {', '.join(s.name for s in self.sources)}; "
                f"{counted(len(self.records), 'picture was', 'pictures were')} named."
                f"{self._first_reason()}"
            )
        if isinstance(photos, Photos):
            available = photos
            if not isinstance(available, NoPhotos):
                self._drop(self._missing(name, available, "the photos given"))
        else:
            places = photos.places if isinstance(photos, OptionalPhotos) else photos
            available = self._located(places)
            missing = self._missing(name, available, ", ".join(map(str, places)))
            if not isinstance(photos, OptionalPhotos):
                self._drop(missing)
        pictures = tuple(
            Entry(id, tuple(record.captions), _split(id, record, assigned, keep))
            for id, record in self.records.items()
        )
        return Dataset(name, pictures, available, tuple(self.set_aside), tuple(self.sources))

    def _located(self, places: Sequence[Path]) -> Photos:
        """Find the photos: in the files of captions, and those that are not there in places."""
        names = {
            id: record.file
            for id, record in self.records.items()
            if not any(id in photos for photos in self.packed)
        }
        parts = [*self.packed, locate(places, names)] if names else self.packed
        return parts[0] if len(parts) == 1 else SeveralPhotos(parts)

    def _assigned(
        self, splits: Splits | str | os.PathLike[str] | None, name: str
    ) -> dict[str, str]:
        """Read who is in which split, and call everybody as the captions do."""
        named = isinstance(splits, str | os.PathLike)
        if isinstance(splits, str | os.PathLike) and Path(splits).is_file():
            assigned, table = read_split_table(splits)
            files: tuple[TextFile, ...] = (table,)
        else:
            assigned, files = read_splits(splits)
        self.sources += [source(file) for file in files]
        before = dict.fromkeys(self.records)
        known = self._known(assigned, name)
        if named and before and not any(id in before for id in known):
            raise DataError(
                f"{splits}: {none(len(assigned), 'id')} is a picture of {name}: the first is "
                f"{next(iter(assigned))!r}, and pictures are called {next(iter(before))!r} there."
            )
        return known

    def _known(self, assigned: Mapping[str, str], name: str) -> dict[str, str]:
        """Listed ids as the captions spell them; listed pictures without captions join them."""
        known: dict[str, str] = {}
        for id, split in assigned.items():
            id = same_form(id)
            spelled = next((s for s in (id, f"{id}.jpg") if s in self.records), id)
            self.records.setdefault(spelled, Record(f"{name}: list of the {split} split", spelled))
            known[spelled] = split
        return known

    def _missing(self, name: str, photos: Photos, where: object) -> dict[str, str]:
        """Say of pictures without a photo why. Raises DataError where not one has a photo."""
        missing = [id for id in self.records if id not in photos]
        reasons = {id: LOST + nearly(photos, id) for id in missing[:_HINTS]}
        if missing and len(missing) == len(self.records):
            hint = nearly(photos, missing[0]) or (_FETCH if is_address(missing[0]) else _SAY_WHERE)
            raise DataError(
                f"{name}: {none(len(missing), 'photo', 'the')} is in {where}, {missing[0]!r} for "
                "one"
                f"{hint}."
            )
        return {id: reasons.get(id, LOST) for id in missing}

    def _drop(self, missing: Mapping[str, str]) -> None:
        for id, reason in missing.items():
            self.leave_out(id, self.records.pop(id).where, reason)

    def _first_reason(self) -> str:
        if not self.set_aside:
            return ""
        first = self.set_aside[0]
        return f" Set aside: {len(self.set_aside)}, the first: {first.where}: {first.reason}."


def _split(id: str, record: Record, assigned: Mapping[str, str], keep: Collection[str]) -> str:
    if assigned:
        return assigned.get(id) or (record.split if record.split in keep else None) or "none"
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
