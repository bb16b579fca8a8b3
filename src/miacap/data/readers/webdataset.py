"""Tar shards in the manner of webdataset and img2dataset: `key.jpg`, `key.txt`, `key.json`.

The photos stay in their tars. Beside `00000.tar` img2dataset writes `00000.parquet`, which has a
row for each photo that it was to fetch, those that failed too.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from miacap.data.dataset import Source
from miacap.data.readers import img2dataset
from miacap.data.readers.records import CaptionFile, Reading, shard_names
from miacap.data.tars import Member, Place, TarPhotos, members, members_with_file
from miacap.errors import DataError
from miacap.reading import parse_json
from miacap.tables.names import (
    CAPTION_NAMES,
    PHOTO_SUFFIXES,
    SPLIT_NAMES,
    first_value,
    same_form,
    without_suffix,
)
from miacap.tables.text import LONGEST_ROW, numbered_lines, text_of

_TEXTS = (".txt", ".json")
_LOOKED_AT = 300
"""Files at the start of a tar by which one with captions is told from one of photos alone."""


def has_captions(tar: Path, most: int | None = _LOOKED_AT) -> bool:
    """Whether a tar holds photos with texts of the same key, by its first `most` files, or all.

    A tar that cannot be read holds none here; whoever reads it says why.
    """
    photos: set[str] = set()
    texts: set[str] = set()
    try:
        for member in islice(members(tar), most):
            key, kind = _parts(member.name)
            (texts if kind in _TEXTS else photos if kind else set()).add(key)
            if key in photos and key in texts:
                return True
    except DataError:
        return False
    return False


@dataclass
class _Sample:
    """What a tar has under one key."""

    key: str
    photo: Member | None = None
    captions: Any = None
    lines: list[str] = field(default_factory=list)
    split: Any = None


def read(files: list[CaptionFile], reading: Reading) -> None:
    """Read tar shards; the captions of a key's JSON are taken, or else the lines of its text.

    A photo's id is its name in the tar, in the folder of its split where there is one; where two
    shards have the same name, each begins with the name of its shard.

    Raises:
        DataError: a damaged or compressed tar.
    """
    shards = [(file, _samples(file.path, reading)) for file in files]
    counts = Counter(
        _name(file, sample.photo.name) for file, some in shards for sample in some if sample.photo
    )
    own = not counts or counts.most_common(1)[0][1] == 1
    names = shard_names(files)
    places: dict[str, Place] = {}
    for file, samples in shards:
        for sample in samples:
            if sample.photo is None:
                if sample.lines or sample.captions is not None:
                    where = f"{file.path.name}, {sample.key}"
                    reading.leave_out(sample.key, where, "a caption without a photo")
                continue
            inside = sample.photo.name
            name = _name(file, inside) if own else f"{names[file.path]}/{inside}"
            id = _add(reading, file, sample, name)
            places[id] = (file.path, sample.photo.offset, sample.photo.size)
    reading.packed.append(TarPhotos.at(places))


def _name(file: CaptionFile, name: str) -> str:
    return f"{file.folder}/{name}" if file.folder else name


def _add(reading: Reading, file: CaptionFile, sample: _Sample, name: str) -> str:
    where = f"{file.path.name}, {sample.key}"
    split = file.split if sample.split is None else sample.split
    id = reading.mention(name, where, id=same_form(name), split=split)
    if sample.captions is not None:
        reading.captions(id, where, sample.captions)
    for line in sample.lines if sample.captions is None else ():
        reading.caption(id, where, line)
    return id


def _samples(tar: Path, reading: Reading) -> list[_Sample]:
    """Read what a tar has under each key, and note what was read of it."""
    samples: dict[str, _Sample] = {}
    checksum = hashlib.sha256()
    for member, file in members_with_file(tar):
        key, kind = _parts(member.name)
        if not kind:
            continue
        sample = samples.setdefault(key, _Sample(key))
        where = f"{tar.name}, {member.name}"
        checksum.update(f"{member.name}\0{member.size}\0".encode("utf-8", "surrogatepass"))
        if kind in _TEXTS:
            data = _content(member, file, where, reading)
            checksum.update(data)
            _take(sample, kind, data, where, reading)
        elif sample.photo is None:
            sample.photo = member
        else:
            reading.leave_out(member.name, where, "a second photo of its key; first kept")
    reading.begin_packed(Source(tar.name, checksum.hexdigest(), tar.stat().st_size))
    img2dataset.list_failed(tar.with_suffix(".parquet"), samples, reading)
    return list(samples.values())


def _parts(name: str) -> tuple[str, str]:
    """Give the key of a file and its kind: a photo's suffix, ".txt", ".json", or "" for others."""
    if name.rpartition("/")[2].startswith("."):
        return name, ""
    key = without_suffix(name)
    if key != name:
        return key, PHOTO_SUFFIXES[0]
    kind = next((end for end in _TEXTS if name.lower().endswith(end)), "")
    return name[: len(name) - len(kind)], kind


def _content(member: Member, file: BufferedReader, where: str, reading: Reading) -> bytes:
    if member.size > LONGEST_ROW:
        reading.leave_out("", where, f"a text of more than {LONGEST_ROW:,} bytes")
        return b""
    file.seek(member.offset)
    return file.read(member.size)


def _take(sample: _Sample, kind: str, data: bytes, where: str, reading: Reading) -> None:
    try:
        text = text_of(data, where)
        if kind == ".txt":
            sample.lines = [line for _, line in numbered_lines(text, where)]
        elif text:
            value = parse_json(text, where)
            if isinstance(value, dict):
                sample.captions = first_value(value, CAPTION_NAMES)
                sample.split = first_value(value, SPLIT_NAMES)
    except DataError as error:
        reading.leave_out(sample.key, where, str(error))
