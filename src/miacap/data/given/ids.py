"""Ids of a picture in a file of features and in the captions, matched in whichever way they differ.

    as it is   dog.jpg
    name       photos/dog.jpg and dog.jpg
    stem       dog.jpg and dog, dog.npz and dog.jpg
    number     COCO_val2014_000000391895.jpg, 000000391895, 391895

A number is taken from names of digits alone and from COCO's and Flickr30k's own: in others the last
number is often no id (VizWiz_val_00000000.jpg has the id 23431).
"""

import re
from collections.abc import Callable, Sequence

from miacap.tables.names import same_form, without_suffix

_NUMBERED = re.compile(r"(?:coco_(?:[a-z]+[0-9]{4}_)?|flickr30k_)?0*([0-9]{1,18})", re.IGNORECASE)
_ARRAYS = (".npz", ".npy")


def _name(id: str) -> str:
    return same_form(id).replace("\\", "/").rpartition("/")[2]


def _stem(id: str) -> str:
    return without_suffix(without_suffix(_name(id), _ARRAYS))


def _number(id: str) -> str | None:
    match = _NUMBERED.fullmatch(_stem(id))
    return match[1] if match else None


_WAYS: tuple[Callable[[str], str | None], ...] = (same_form, _name, _stem, _number)


class Matching:
    """Finds the pictures of a dataset by the ids of a file of features.

    Args:
        ids: of the dataset.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._tables: list[dict[str, tuple[str, ...]]] = []
        for way in _WAYS:
            table: dict[str, tuple[str, ...]] = {}
            for id in ids:
                key = way(id)
                if key is not None:
                    known = table.get(key, ())
                    table[key] = (*known, id) if len(known) < 2 else known
            self._tables.append(table)

    def candidates(self, id: str) -> tuple[str, ...]:
        """Give the dataset's ids of a picture: none, the one, or two of several that it may be."""
        for way, table in zip(_WAYS, self._tables, strict=True):
            key = way(id)
            if key is not None and key in table:
                return table[key]
        return ()

    def find(self, id: str) -> str | None:
        """Give the dataset's id of a picture, or None where it has no such picture, or several."""
        found = self.candidates(id)
        return found[0] if len(found) == 1 else None
