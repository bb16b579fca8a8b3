"""Ids of one picture in a file of features and in the captions, met in whichever way they differ.

    as it is   dog.jpg
    name       photos/dog.jpg and dog.jpg
    stem       dog.jpg and dog, dog.npz and dog.jpg
    number     COCO_val2014_000000391895.jpg, 000000391895, 391895

A number is taken from names of digits alone and from COCO's and Flickr30k's own: in others the last
number is often no id (VizWiz_val_00000000.jpg has the id 23431).
"""

import re
from collections.abc import Callable, Sequence

from miacap.tables.names import PHOTO_SUFFIXES, same_form

_NUMBERED = re.compile(r"(?:coco_(?:[a-z]+[0-9]{4}_)?|flickr30k_)?0*([0-9]{1,18})", re.IGNORECASE)
_ARRAYS = (".npz", ".npy")


def without_suffix(name: str, suffixes: Sequence[str]) -> str:
    """Give a name without the first of these endings that it has."""
    suffix = next((s for s in suffixes if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]


def _name(id: str) -> str:
    return same_form(id).replace("\\", "/").rpartition("/")[2]


def _stem(id: str) -> str:
    return without_suffix(without_suffix(_name(id), _ARRAYS), PHOTO_SUFFIXES)


def _number(id: str) -> str | None:
    match = _NUMBERED.fullmatch(_stem(id))
    return match[1] if match else None


_WAYS: tuple[Callable[[str], str | None], ...] = (same_form, _name, _stem, _number)


class Matching:
    """Finds the pictures of a dataset by the ids of a file of features.

    Two pictures that are the same in one way of writing are not found by it.

    Args:
        ids: of the dataset.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._tables: list[dict[str, str | None]] = []
        for way in _WAYS:
            table: dict[str, str | None] = {}
            for id in ids:
                key = way(id)
                if key is not None:
                    table[key] = None if key in table else id
            self._tables.append(table)

    def find(self, id: str) -> str | None:
        """Give the dataset's id of a picture, or None where it has no such picture, or several."""
        for way, table in zip(_WAYS, self._tables, strict=True):
            key = way(id)
            if key is not None and key in table:
                return table[key]
        return None
