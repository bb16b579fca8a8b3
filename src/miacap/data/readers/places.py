"""Where a folder keeps its captions: which of its files they are, and for which split."""

import re
from dataclasses import dataclass
from pathlib import Path

from miacap.data.readers import flickr, pairs
from miacap.data.splits import split_name
from miacap.errors import DataError

_METADATA = ("metadata.jsonl", "metadata.csv")
_CAPTIONS = ("captions.jsonl", "captions.csv", "captions.txt", "captions.json", "results.csv")
_SUFFIXES = (".jsonl", ".csv", ".tsv", ".json")
_SPLITS = "train|training|dev|val|valid|validation|test"
_SPLIT_FOLDER = re.compile(rf"({_SPLITS})(?:\d{{4}})?", re.IGNORECASE)
_SPLIT_FILE = re.compile(
    rf"(?:.*[._-])?({_SPLITS})(?:\d{{4}})?(?:[._-].*)?\.(?:jsonl|csv|tsv|json)(?:\.gz)?",
    re.IGNORECASE,
)
_OF_A_RUN = ("settings.json", "vocabulary.json")


class NoCaptionFile(DataError):
    """A folder holds no file of captions, or several and nothing that says which."""


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


def caption_files(path: Path, format: str | None) -> list[CaptionFile]:
    """Find the files of captions at a path: itself, or those of a folder.

    Nothing is given where each photo of the folder has a text of its own beside it.

    Args:
        path: a file or a folder.
        format: the one that is looked for, or None for any.

    Raises:
        NoCaptionFile: there is none, or several and nothing that says which.
        DataError: there is no such place, or it is a run folder.
    """
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder.")
        return [CaptionFile(path)]
    if format in (None, "jsonl", "csv"):
        for name in _METADATA:
            if (path / name).is_file():
                return [CaptionFile(path / name)]
        if inside := _metadata_of_splits(path):
            return inside
    files = _of_one_name(path, format) or _of_splits(path)
    if files:
        return files
    if format is None and pairs.any_in(path):
        return []
    files = _tables(path)
    if len(files) == 1:
        return files
    if all((path / name).exists() for name in _OF_A_RUN):
        raise DataError(f"{path}: is a run folder; the order is miacap evaluate RUN DATA.")
    names = ", ".join(file.path.name for file in files[:5])
    seen = f" It holds {names}: name one." if files else ""
    raise NoCaptionFile(
        f"{path}: no caption file here; looked for metadata.jsonl, metadata.csv, *.token.txt, "
        f"captions.jsonl, captions.csv, captions.txt and others (docs/data.md).{seen}"
    )


def _of_one_name(folder: Path, format: str | None) -> list[CaptionFile]:
    """Give token files, or the file that is called as captions are."""
    tokens = flickr.token_files(folder) if format in (None, "flickr") else []
    # A name alone does not make a token file where another file of captions lies beside it.
    sure = tokens if format else [path for path in tokens if flickr.is_token_file(path)]
    called = [folder / name for name in _CAPTIONS if (folder / name).is_file()][:1]
    return [CaptionFile(path) for path in sure or called or tokens]


def _metadata_of_splits(folder: Path) -> list[CaptionFile]:
    """Give train/metadata.jsonl, validation/metadata.csv and their like."""
    files = []
    for inside in sorted(folder.iterdir()):
        match = _SPLIT_FOLDER.fullmatch(inside.name)
        if match and inside.is_dir():
            names = [name for name in _METADATA if (inside / name).is_file()][:1]
            files += [
                CaptionFile(inside / name, inside.name, split_name(match.group(1)))
                for name in names
            ]
    return files


def _of_splits(folder: Path) -> list[CaptionFile]:
    """Give train.jsonl, val.jsonl, or captions_train2014.json, captions_val2014.json, ..."""
    tables = _tables(folder)
    named = [file for file in tables if file.path.name.lower().startswith("captions")] or tables
    splits = {}
    for file in named:
        match = _SPLIT_FILE.fullmatch(file.path.name)
        if match is None:
            return []
        splits[split_name(match.group(1))] = file.path
    if len(splits) < 2 or len(splits) < len(named):
        return []
    return [CaptionFile(path, "", split) for split, path in splits.items()]


def _tables(folder: Path) -> list[CaptionFile]:
    return [
        CaptionFile(path)
        for path in sorted(folder.iterdir())
        if path.name.removesuffix(".gz").endswith(_SUFFIXES)
        and path.is_file()
        and not path.name.startswith(".")
    ]
