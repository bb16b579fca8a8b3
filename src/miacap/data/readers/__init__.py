"""Readers: any folder or file of photos with captions becomes a `Dataset`.

One file per family of formats; `read` looks at the content and picks one.
They import the tables, the ground floor and their own room, never torch.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from miacap.data.dataset import Dataset
from miacap.data.photos import Photos
from miacap.data.readers import coco, flickr, pairs, tables
from miacap.data.readers.places import caption_files
from miacap.data.readers.records import CaptionText, Reading
from miacap.data.splits import Splits, lists_in
from miacap.errors import DataError, UnknownName
from miacap.reading import collector_paused, parse_json
from miacap.tables import delimited, token_lines
from miacap.tables.text import first_line, read_text_file

Format = Literal["flickr", "csv", "jsonl", "karpathy", "coco"]
Place = str | os.PathLike[str]

_READERS: dict[str, Callable[[list[CaptionText], Reading], None]] = {
    "flickr": flickr.read,
    "csv": tables.read_csv,
    "jsonl": tables.read_json_lines,
    "karpathy": coco.read_karpathy,
    "coco": coco.read_coco,
}

__all__ = ["Format", "read"]


@collector_paused()
def read(
    path: Place,
    *,
    format: str | None = None,
    photos: Place | Photos | Sequence[Place] | None = None,
    splits: Splits | Place | None = None,
) -> Dataset:
    """Read pictures and captions from a folder or a caption file.

    Args:
        path: a folder with a caption file in it, or with a text of captions beside each photo;
            or the caption file.
        format: "flickr" (token file), "csv", "jsonl", "karpathy" or "coco"; None looks.
        photos: folder, tar, several of these, or `Photos`; None looks in the caption file's
            folder. `NoPhotos()` reads captions alone.
        splits: a folder of lists, or split -> list file or ids; overrides what the file
            says, and a picture in no list gets the split "none".

    Returns:
        A dataset whose ids are file names in Unicode NFC (COCO: the image ids). Pictures without
        captions stay; pictures without a photo and captions that cannot be read are set aside.

    Raises:
        DataError: nothing readable, no photo found, no caption at all, a name that leads out
            of the folder, an id in two splits; the message has file and line.
        UnknownName: no such format.
    """
    target = Path(path)
    if format is not None and format not in _READERS:
        raise UnknownName("caption format", format, tuple(_READERS))
    files = caption_files(target, format)
    folder = target if target.is_dir() else target.parent
    if not files:
        reading = pairs.read(folder)
    else:
        texts = [
            CaptionText(file.path, read_text_file(file.path), file.folder, file.split)
            for file in files
        ]
        reading = Reading()
        by_format: dict[str, list[CaptionText]] = {}
        for text in texts:
            by_format.setdefault(format or _guess(text), []).append(text)
        for chosen, some in by_format.items():
            _READERS[chosen](some, reading)
    if splits is None and not reading.has_splits:
        splits = lists_in(folder) or None
    name = folder.resolve().name
    return reading.dataset(name or "data", _places(photos, folder), splits)


def _places(
    photos: Place | Photos | Sequence[Place] | None, folder: Path
) -> Photos | tuple[Path, ...]:
    if photos is None or (isinstance(photos, Sequence) and not photos):
        return (folder,)
    if isinstance(photos, str | os.PathLike):
        return (Path(photos),)
    if isinstance(photos, Photos):
        return photos
    return tuple(Path(one) for one in photos)


def _guess(text: CaptionText) -> str:
    content = text.content.strip()
    if not content:
        raise DataError(f"{text.path}: the file is empty.")
    first = first_line(content)
    if token_lines.parse(first):
        return "flickr"
    if content[0] not in "{[":
        # A token file may begin with lines that have another form, or with none that has.
        tokens = flickr.named_so(text.path) and (flickr.has_tokens(content) or not _is_table(first))
        return "flickr" if tokens else "csv"
    if content[0] == "{" and first != content and _whole(first):
        return "jsonl"
    try:
        return coco.guess(text.value) or "jsonl"
    except DataError:
        return "jsonl"


def _is_table(line: str) -> bool:
    return line.count(delimited.separator_of(line)) > 0


def _whole(line: str) -> bool:
    try:
        parse_json(line, "")
    except DataError:
        return False
    return True
