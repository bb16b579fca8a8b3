"""Where a folder keeps its captions: which of its files they are, and for which split."""

import re
from pathlib import Path

from miacap.data.readers import flickr, pairs, webdataset
from miacap.data.readers.records import CaptionFile
from miacap.data.splits import SPLIT_FILE, SPLIT_FOLDER, SPLIT_PART, split_name
from miacap.errors import DataError
from miacap.reading import absent

_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_CAPTIONS = ("captions.jsonl", "captions.csv", "captions.txt", "captions.json", "results.csv")
_SUFFIXES = (".jsonl", ".csv", ".tsv", ".json")
_NO_CAPTIONS = re.compile(r".*_stats\.json|dataset_infos?\.json|dataset_dict\.json|state\.json")
"""What img2dataset and Hugging Face datasets write beside captions."""
_PACKED = {"parquet": ".parquet", "webdataset": ".tar"}
_KARPATHY = re.compile(r"dataset_(?:coco|flickr8k|flickr30k)\.json(?:\.gz)?")
_ANNOTATIONS = "annotations"  # of COCO
_TRIED = 3  # tars that are looked into
_OF_A_RUN = ("settings.json", "vocabulary.json")


class NoCaptionFile(DataError):
    """A folder holds no file of captions, or several and nothing that says which."""


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
            packed = path.suffix.lower() in _PACKED.values()  # a tar in gzip, say, is not read
            raise absent(path, "file or folder", unpacks=not packed)
        return [CaptionFile(path)]
    if format in _PACKED:
        return _shards(path, format)
    if format in (None, "jsonl", "csv"):
        for name in _METADATA:
            if (path / name).is_file():
                return [CaptionFile(path / name)]
        if inside := _metadata_of_splits(path):
            return inside
    files = _of_one_name(path, format) or _of_karpathy(path) or _of_splits(path) or _of_coco(path)
    if files:
        return files
    if format is None and pairs.any_in(path):
        return []
    files = _tables(path)
    if len(files) == 1 and files[0].path.suffix != ".json":
        return files
    if format is None and (shards := _shards(path, "webdataset") or _shards(path, "parquet")):
        return shards
    if len(files) == 1:
        return files
    if all((path / name).exists() for name in _OF_A_RUN):
        raise DataError(f"{path}: is a run folder; the order is miacap evaluate RUN DATA.")
    names = ", ".join(file.path.name for file in files[:5])
    seen = f" It holds {names}: name one." if files else ""
    raise NoCaptionFile(
        f"{path}: no caption file here; looked for metadata.jsonl, metadata.csv, *.token.txt, "
        "captions.jsonl, captions.csv, captions.txt, *.parquet, *.tar and others "
        f"(docs/data.md).{seen}"
    )


def _of_one_name(folder: Path, format: str | None) -> list[CaptionFile]:
    """Give token files, or the file that is called as captions are."""
    tokens = flickr.token_files(folder) if format in (None, "flickr") else []
    # A name alone does not make a token file where another file of captions lies beside it.
    sure = tokens if format else [path for path in tokens if flickr.is_token_file(path)]
    called = [folder / name for name in _CAPTIONS if (folder / name).is_file()][:1]
    return [CaptionFile(path) for path in sure or called or tokens]


def _of_karpathy(folder: Path) -> list[CaptionFile]:
    """Give dataset_coco.json, dataset_flickr8k.json or dataset_flickr30k.json."""
    for place in (folder, folder / _ANNOTATIONS):
        names = sorted(place.iterdir()) if place.is_dir() else []
        found = [path for path in names if _KARPATHY.fullmatch(path.name) and path.is_file()]
        if found:
            return [CaptionFile(path) for path in found[:1]]
    return []


def _of_coco(folder: Path) -> list[CaptionFile]:
    """Give annotations/captions_train2014.json and its like, where nothing else is called so."""
    if not (folder / _ANNOTATIONS).is_dir():
        return []
    if files := _of_splits(folder / _ANNOTATIONS):
        return files
    named = [f for f in _tables(folder / _ANNOTATIONS) if f.path.name.startswith("captions")]
    return named if len(named) == 1 else []


def _metadata_of_splits(folder: Path) -> list[CaptionFile]:
    """Give train/metadata.jsonl, validation/metadata.csv and their like."""
    files = []
    for inside in sorted(folder.iterdir()):
        match = SPLIT_FOLDER.fullmatch(inside.name)
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
        match = SPLIT_FILE.fullmatch(file.path.name)
        if match is None:
            return []
        splits[split_name(match.group(1))] = file.path
    if len(splits) < 2 or len(splits) < len(named):
        return []
    return [CaptionFile(path, "", split) for split, path in splits.items()]


def _shards(folder: Path, format: str) -> list[CaptionFile]:
    """Give train-00000-of-00002.parquet, data/*.parquet, train/*.tar and their like.

    Tars count where they hold captions.
    """
    suffix = _PACKED[format]
    folders = {"": folder, "data": folder / "data"}
    folders |= {p.name: p for p in sorted(folder.iterdir()) if SPLIT_FOLDER.fullmatch(p.name)}
    files = []
    for name, place in folders.items():
        match = SPLIT_FOLDER.fullmatch(name)
        inside = sorted(place.iterdir()) if place.is_dir() else []
        for path in inside:
            if path.suffix != suffix or path.name.startswith(".") or not path.is_file():
                continue
            said = match or SPLIT_PART.search(path.stem)
            split = split_name(said.group(1)) if said else None
            files.append(CaptionFile(path, name if match else "", split))
    if suffix == ".tar" and not any(webdataset.has_captions(file.path) for file in files[:_TRIED]):
        return []
    return files


def _tables(folder: Path) -> list[CaptionFile]:
    return [
        CaptionFile(path)
        for path in sorted(folder.iterdir())
        if path.name.removesuffix(".gz").endswith(_SUFFIXES)
        and not _NO_CAPTIONS.fullmatch(path.name)
        and path.is_file()
        and not path.name.startswith(".")
    ]
