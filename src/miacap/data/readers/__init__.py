"""Readers: any folder or file of photos with captions becomes a `Dataset`.

One file per family of formats; `read` looks at the content and picks one.
They import the tables, the ground floor and their own room, never torch.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from miacap.data.dataset import Dataset
from miacap.data.drawn_splits import with_drawn_splits
from miacap.data.photos import OptionalPhotos, Photos
from miacap.data.readers import coco, flickr, pairs, parquet, tables, webdataset
from miacap.data.readers.places import caption_files
from miacap.data.readers.records import CaptionFile, CaptionText, Reading
from miacap.data.splits import DRAW, Splits, lists_in
from miacap.errors import DataError, UnknownName
from miacap.reading import collector_paused, parse_json
from miacap.tables import delimited, token_lines
from miacap.tables.text import first_line, read_text_file

Format = Literal["flickr", "csv", "jsonl", "karpathy", "coco", "parquet", "webdataset"]
Place = str | os.PathLike[str]

_READERS: dict[str, Callable[[list[CaptionText], Reading], None]] = {
    "flickr": flickr.read,
    "csv": tables.read_csv,
    "jsonl": tables.read_json_lines,
    "karpathy": coco.read_karpathy,
    "coco": coco.read_coco,
}
_PACKED: dict[str, Callable[[list[CaptionFile], Reading], None]] = {
    "parquet": parquet.read,
    "webdataset": webdataset.read,
}

__all__ = ["Format", "read"]


@collector_paused()
def read(
    path: Place,
    *,
    format: str | None = None,
    photos: Place | Photos | OptionalPhotos | Sequence[Place] | None = None,
    splits: Splits | Place | None = None,
) -> Dataset:
    """Read pictures and captions from a folder or a caption file.

    Args:
        path: a folder with a caption file in it, with shards, or with a text of captions beside
            each photo; or the caption file.
        format: "flickr" (token file), "csv", "jsonl", "karpathy", "coco", "parquet" or
            "webdataset" (tars); None looks.
        photos: folder, tar, several of these, or `Photos`; None looks in the caption file's
            folder. `NoPhotos()` reads captions alone, `OptionalPhotos(places)` keeps pictures that
            have no photo there.
        splits: a folder of lists, a table with the columns id and split, or split -> list file
            or ids; overrides what the file says, and a picture in no list gets the split "none".
            "draw" (where no folder is called so) draws dev and test from the training pictures,
            each where the data has no such split.

    Returns:
        A dataset whose ids are file names in Unicode NFC (COCO: the image ids). Pictures without
        captions stay; pictures without a photo and captions that cannot be read are set aside.

    Raises:
        DataError: nothing readable, no photo found, no caption at all, a name that leads out
            of the folder, an id in two splits, nothing to draw; the message has file and line.
        UnknownName: no such format.
        MissingExtra: a Parquet table, and pyarrow is not installed.
    """
    target = Path(path)
    if format is not None and format not in _READERS | _PACKED:
        raise UnknownName("caption format", format, (*_READERS, *_PACKED))
    files = caption_files(target, format)
    folder = target if target.is_dir() else target.parent
    if not files:
        reading = pairs.read(folder)
    else:
        reading = Reading()
        _read(files, format, reading)
    drawn = splits == DRAW and not Path(DRAW).exists()
    if drawn:
        splits = None
    keep: set[str] = set()
    if splits is None and (reading.lists_decide or not reading.has_splits):
        splits, keep = _lists_beside(folder, files, reading)
    name = folder.resolve().name
    result = reading.dataset(name or "data", _places(photos, folder), splits, keep)
    return with_drawn_splits(result) if drawn else result


def _lists_beside(
    folder: Path, files: list[CaptionFile], reading: Reading
) -> tuple[dict[str, Path] | None, set[str]]:
    """Find the lists of splits beside captions, and the splits that they say nothing of."""
    beside = {file.path.parent: None for file in files} if reading.lists_decide else {}
    lists = next(filter(None, map(lists_in, {folder: None, **beside})), None)
    said = {record.split for record in reading.records.values() if record.split}
    return lists, said - set(lists or ()) if reading.lists_decide else set()


def _read(files: list[CaptionFile], format: str | None, reading: Reading) -> None:
    """Read files of captions, those of one format together."""
    packed: dict[str, list[CaptionFile]] = {}
    texts: dict[str, list[CaptionText]] = {}
    for file in files:
        if chosen := _packed(file.path, format, alone=len(files) == 1):
            packed.setdefault(chosen, []).append(file)
            continue
        text = CaptionText(file.path, read_text_file(file.path), file.folder, file.split)
        texts.setdefault(format or _guess(text), []).append(text)
    for chosen, some in texts.items():
        _READERS[chosen](some, reading)
    for chosen, shards in packed.items():
        _PACKED[chosen](shards, reading)


def _packed(path: Path, format: str | None, alone: bool) -> str:
    """Give the format of a file that is no text, or ""."""
    if format is not None:
        return format if format in _PACKED else ""
    if path.suffix.lower() == ".tar":
        # Of a tar of photos alone the reader of texts says what to do with it.
        return "" if alone and not webdataset.has_captions(path, None) else "webdataset"
    return "parquet" if path.suffix.lower() == ".parquet" else ""


def _places(
    photos: Place | Photos | OptionalPhotos | Sequence[Place] | None, folder: Path
) -> Photos | OptionalPhotos | tuple[Path, ...]:
    if photos is None or (isinstance(photos, Sequence) and not photos):
        return (folder,)
    if isinstance(photos, str | os.PathLike):
        return (Path(photos),)
    if isinstance(photos, Photos | OptionalPhotos):
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
