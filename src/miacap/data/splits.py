"""Splits: their names, the lists that assign them, and the draw where nobody assigned one."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from miacap.errors import DataError
from miacap.reading import absent
from miacap.tables.text import TextFile, numbered_lines, read_text_file

Splits = Mapping[str, "str | os.PathLike[str] | Iterable[str]"]

DRAW = "draw"
"""In place of lists: draw the splits that the data lacks."""
RESTVAL = "restval"
_SAME = {
    "training": "train",
    "trn": "train",
    RESTVAL: "train",  # Karpathy and Li: the rest of val2014, trained on by everybody
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "eval": "dev",
    "testing": "test",
}
_NAMES = "train|training|dev|val|valid|validation|test"
_LIST_NAME = re.compile(
    rf"(?:.*[._-])?({_NAMES}|{RESTVAL})(?:[._-]?(?:images|list|ids))?"
    r"\.(?:txt|lst)(?:\.gz)?",
    re.IGNORECASE,
)
SPLIT_FOLDER = re.compile(rf"({_NAMES})(?:\d{{4}})?", re.IGNORECASE)
"""What a folder of one split is called: train, validation, val2014."""
SPLIT_FILE = re.compile(
    rf"(?:.*[._-])?({_NAMES})(?:\d{{4}})?(?:[._-].*)?\.(?:jsonl|csv|tsv|json)(?:\.gz)?",
    re.IGNORECASE,
)
"""What a file of one split's captions is called: captions_train2014.json, my_val.csv."""
SPLIT_PART = re.compile(
    rf"(?:^|[._-])({_NAMES}|{RESTVAL}|testing)(?:\d{{4}})?(?=[._-]|$)", re.IGNORECASE
)
"""Where a shard's name, without its suffix, names its split: train-00000-of-00002."""


def split_name(name: str) -> str:
    """Give the house's name of a split: train, dev, test, or the name itself in lower case."""
    plain = name.strip().lower()
    return _SAME.get(plain, plain)


def draw_split(id: str) -> str:
    """Draw the split of a picture that nobody assigned, from its id alone.

    The first 64 bits of SHA-256 of the id (UTF-8), as a fraction: below .8 train, below .9
    dev, else test. So a picture keeps its split on every machine, whatever comes beside it.
    """
    digest = hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()
    tenth = int.from_bytes(digest[:8], "big") * 10 >> 64
    return "train" if tenth < 8 else "dev" if tenth == 8 else "test"


def lists_in(folder: Path) -> dict[str, Path]:
    """Find split lists in a folder by their names, as `Flickr_8k.trainImages.txt(.gz)`.

    A list of `restval` is kept under that name: a list of train may lie beside it.

    Raises:
        DataError: two files claim the same split.
    """
    lists: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        match = _LIST_NAME.fullmatch(path.name)
        if not match or not path.is_file():
            continue
        said = match.group(1).lower()
        name = said if said == RESTVAL else split_name(said)
        if name in lists and path.name.removesuffix(".gz") == lists[name].name:
            continue  # the same list, once more packed
        if name in lists:
            raise DataError(
                f"{folder}: both {lists[name].name} and {path.name} list the {name} split; "
                "keep one, or say which with splits."
            )
        lists[name] = path
    return lists


def read_splits(
    splits: "Splits | str | os.PathLike[str] | None",
) -> tuple[dict[str, str], tuple[TextFile, ...]]:
    """Read who is in which split.

    Args:
        splits: a folder of lists, or split name -> list file (one id a line) or ids.

    Returns:
        split by id (empty for None), and the files that were read.

    Raises:
        DataError: a folder without lists, or an id in two splits.
    """
    if splits is None:
        return {}, ()
    if isinstance(splits, str | os.PathLike):
        folder = Path(splits)
        if not folder.is_dir():
            what = "folder of split lists, or table of ids and splits"
            raise absent(folder, what, unpacks=True)
        splits = lists_in(folder)
        if not splits:
            raise DataError(f"{folder}: no split lists here (train.txt, dev.txt, test.txt).")
    assigned: dict[str, str] = {}
    files: list[TextFile] = []
    for name, members in splits.items():
        if isinstance(members, str | os.PathLike):
            files.append(read_text_file(members))
            lines = numbered_lines(files[-1].text, str(members))
            members = [line.strip() for _, line in lines]
        for id in members:
            if id and assigned.setdefault(id, split_name(name)) != split_name(name):
                raise DataError(
                    f"{id} is in two splits, {assigned[id]} and {split_name(name)}; "
                    "a picture belongs to one."
                )
    return assigned, tuple(files)
