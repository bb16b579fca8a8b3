"""Pictures that are in two splits: then scores on the second say too much.

Three signs are looked for: the same photo (by its checksum, where a feature store knows it), the
same captions (by their tokens), and the same name in two folders where checksums are not known.
Names that are counted from 0 or 1 in each of two folders (`train/0.jpg`, `test/0.jpg`) say nothing.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from miacap.data.dataset import Dataset, Entry
from miacap.tables.names import same_form
from miacap.text import tokenize
from miacap.wording import counted

_ORDER = ("train", "dev", "test")
_FIRST = 3
_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})(\D*)", re.DOTALL)
_DENSE = 2
"""A folder whose numbers go to less than this many times its pictures counts its own."""
_WORDS = 6
"""Words of an only caption from which it is no accident that two pictures have it."""

_Kind = Literal["photo", "captions", "name"]
_Sign = Callable[[Entry], Hashable | None]

_SAYS: dict[_Kind, tuple[str, str]] = {
    "photo": ("is the same photo as a picture", "are the same photos as pictures"),
    "captions": ("has the very captions of a picture", "have the very captions of pictures"),
    "name": ("has the name of a picture", "have the names of pictures"),
}


@dataclass(frozen=True)
class Leak:
    """Pictures of one split that are in another as well.

    Attributes:
        splits: the one that is learned from, or chosen by, and the one that is scored.
        kind: by which sign they were found.
        pictures: how many of the second split's pictures.
        first: the first few, each with its like in the first split.
    """

    splits: tuple[str, str]
    kind: _Kind
    pictures: int
    first: tuple[tuple[str, str], ...]

    @property
    def told(self) -> str:
        """Say it in a sentence."""
        one, several = _SAYS[self.kind]
        pairs = ", ".join(f"{of_second!r} and {of_first!r}" for of_first, of_second in self.first)
        more = self.pictures - len(self.first)
        return (
            f"{counted(self.pictures, 'picture')} of {self.splits[1]} "
            f"{one if self.pictures == 1 else several} of {self.splits[0]}: {pairs}"
            f"{f' and {more:,} more' if more else ''}; scores on {self.splits[1]} may be too good. "
            "Leave them out of one of the two."
        )


def find(dataset: Dataset, photos: Mapping[str, str], split: str | None = None) -> list[Leak]:
    """Look for pictures that are in two splits.

    Args:
        dataset: all of it.
        photos: SHA-256 of photos by id, as far as they are known (`FeatureStore.photos`).
        split: only what touches this split; None looks at all.

    Returns:
        a leak for each pair of splits and each sign; a picture found by its photo is not told
        again by its captions.
    """
    parts: dict[str, list[Entry]] = {name: [] for name in _ORDER}
    for entry in dataset:
        parts.setdefault(entry.split, []).append(entry)
    parts.pop("none", None)
    signs: dict[_Kind, _Sign] = {
        "photo": _by_photo(photos), "captions": _by_captions, "name": _by_name(photos)
    }  # fmt: skip
    own = _counted_in_their_folder(dataset)
    leaks = []
    for first, second in combinations(parts, 2):
        if split is not None and split not in (first, second):
            continue
        known: set[str] = set()
        for kind, sign in signs.items():
            pairs = _pairs(parts[first], parts[second], sign, known)
            if kind == "name":
                pairs = [pair for pair in pairs if not all(_series(id) in own for id in pair)]
            known |= {of_second for _, of_second in pairs}
            if pairs:
                leaks.append(Leak((first, second), kind, len(pairs), tuple(pairs[:_FIRST])))
    return leaks


def _pairs(
    first: Iterable[Entry],
    second: Iterable[Entry],
    sign: _Sign,
    known: set[str],
) -> list[tuple[str, str]]:
    """Give pictures of two splits with the same sign, one pair for each of the second."""
    owners: dict[Hashable, str] = {}
    for entry in first:
        mark = sign(entry)
        if mark is not None:
            owners.setdefault(mark, entry.id)
    marks = ((entry.id, sign(entry)) for entry in second if entry.id not in known)
    return [(owners[mark], id) for id, mark in marks if mark is not None and mark in owners]


def _by_photo(photos: Mapping[str, str]) -> _Sign:
    """Tell pictures by the checksums of their photos."""
    return lambda entry: photos.get(entry.id)


def _by_name(photos: Mapping[str, str]) -> _Sign:
    """Tell pictures by the last part of their names, where no checksum tells more."""

    def sign(entry: Entry) -> Hashable | None:
        folder, _, name = entry.id.rpartition("/")
        return same_form(name) if folder and photos.get(entry.id) is None else None

    return sign


def _series(id: str) -> tuple[str, str] | None:
    """Give what stands before and behind a name's number, folder included; None without one."""
    folder, _, name = id.rpartition("/")
    match = _NUMBERED.fullmatch(name)
    return (f"{folder}/{match[1]}", match[3]) if match else None


def _counted_in_their_folder(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Give the series of names whose numbers begin with 0 or 1 and have few gaps."""
    numbers: dict[tuple[str, str], set[int]] = {}
    for entry in entries:
        series, match = _series(entry.id), _NUMBERED.fullmatch(entry.id.rpartition("/")[2])
        if series is not None and match is not None:
            numbers.setdefault(series, set()).add(int(match[2]))
    return {
        series
        for series, known in numbers.items()
        if min(known) <= 1 and max(known) < _DENSE * len(known)
    }


def _by_captions(entry: Entry) -> Hashable | None:
    captions = frozenset(tuple(tokenize(caption)) for caption in entry.captions) - {()}
    if len(captions) == 1:  # "a dog" is written about many
        (only,) = captions
        return captions if len(only) >= _WORDS else None
    return captions or None
