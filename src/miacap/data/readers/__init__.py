"""Readers: any folder or file of photos with captions becomes a `Dataset`.

One file per family of formats; `read` looks at the content and picks one.
They import the ground floor and their own room, never torch.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from miacap.data.dataset import Dataset
from miacap.data.lines import read_text
from miacap.data.photos import Photos
from miacap.data.readers import coco, flickr, tables
from miacap.data.readers.records import Reading
from miacap.data.splits import Splits, lists_in
from miacap.errors import DataError, UnknownName

Format = Literal["flickr", "csv", "jsonl", "karpathy", "coco"]

_READERS: dict[str, Callable[[list[Path]], Reading]] = {
    "flickr": flickr.read,
    "csv": tables.read_csv,
    "jsonl": tables.read_json_lines,
    "karpathy": coco.read_karpathy,
    "coco": coco.read_coco,
}
_METADATA = ("metadata.jsonl", "metadata.csv")
_CAPTIONS = ("captions.jsonl", "captions.csv", "captions.txt", "captions.json", "results.csv")
_SUFFIXES = (".jsonl", ".csv", ".tsv", ".json")

__all__ = ["Format", "read"]


def read(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    photos: str | os.PathLike[str] | Photos | None = None,
    splits: Splits | str | os.PathLike[str] | None = None,
) -> Dataset:
    """Read pictures and captions from a folder or a caption file.

    Args:
        path: a folder with a caption file in it, or the caption file.
        format: "flickr" (token file), "csv", "jsonl", "karpathy" or "coco"; None looks.
        photos: folder, tar, or `Photos`; None looks in the caption file's folder.
            `NoPhotos()` reads captions alone.
        splits: a folder of lists, or split -> list file or ids; overrides what the file
            says, and a picture in no list gets the split "none".

    Returns:
        A dataset whose ids are file names (COCO: the image ids). Pictures without captions
        stay; pictures without a photo and captions that cannot be read are set aside.

    Raises:
        DataError: nothing readable, no photo found, no caption at all, a name that leads out
            of the folder, an id in two splits; the message has file and line.
        UnknownName: no such format.
    """
    place = Path(path)
    if format is not None and format not in _READERS:
        raise UnknownName("caption format", format, get_args(Format))
    files = [place] if place.is_file() else _caption_files(place, format)
    chosen = format or _guess(files[0])
    folder = files[0].parent
    reading = _READERS[chosen](files)
    if splits is None and not reading.has_splits:
        splits = lists_in(folder) or None
    name = folder.resolve().name
    return reading.dataset(name or "data", folder if photos is None else photos, splits)


def _caption_files(folder: Path, format: str | None) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such file or folder.")
    for name in _METADATA:
        if format in (None, "jsonl", "csv") and (folder / name).is_file():
            return [folder / name]
    tokens = flickr.token_files(folder)
    if tokens and format in (None, "flickr"):
        return tokens
    for name in _CAPTIONS:
        if (folder / name).is_file():
            return [folder / name]
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.name.removesuffix(".gz").endswith(_SUFFIXES)
        and path.is_file()
        and not path.name.startswith(".")
    ]
    if len(files) == 1:
        return files
    seen = f" It holds {', '.join(file.name for file in files[:5])}: name one." if files else ""
    raise DataError(
        f"{folder}: no caption file here; looked for metadata.jsonl, metadata.csv, *.token.txt, "
        f"captions.jsonl, captions.csv, captions.txt.{seen}"
    )


def _guess(path: Path) -> str:
    text = read_text(path).strip()
    if not text:
        raise DataError(f"{path}: the file is empty.")
    first = text.split("\n", 1)[0]
    if flickr.named_so(path) or flickr.looks_right(first):
        return "flickr"
    if text[0] not in "{[":
        return "csv"
    if text[0] == "{" and first != text and _whole(first):
        return "jsonl"
    return coco.guess(path, text) or "jsonl"


def _whole(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
