"""A dataset: pictures with captions and splits, where their photos are, what was set aside."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from miacap.data.photos import Photos
from miacap.data.splits import split_name
from miacap.errors import DataError, nearest
from miacap.tables.captions import odd_words
from miacap.tables.text import TextFile
from miacap.wording import counted


@dataclass(frozen=True)
class Entry:
    """One picture of a dataset.

    Attributes:
        id: its name, unique in the dataset; always text.
        captions: what people wrote about it, untouched; may be empty.
        split: "train", "dev", "test", "none", or a name of the data's own.
    """

    id: str
    captions: tuple[str, ...]
    split: str


@dataclass(frozen=True)
class SetAside:
    """A piece of bad data that was left out.

    Attributes:
        id: the picture that it belongs to, or "" where nobody can tell.
        where: file and line, or whatever leads a person to it.
        reason: what is wrong, in a few words.
    """

    id: str
    where: str
    reason: str


@dataclass(frozen=True)
class Source:
    """One file that a dataset was read from; goes into a run's `data.json`.

    Attributes:
        name: the file's name, without its folder.
        sha256: checksum of its bytes as they were read.
        bytes: its size.
        terms: under which terms it may be used, or "" where it does not say.
    """

    name: str
    sha256: str
    bytes: int
    terms: str = ""


def source(file: TextFile, terms: str = "") -> Source:
    """Describe a file that was read: name, checksum, size, terms."""
    return Source(file.name, file.sha256, file.bytes, terms)


@dataclass(frozen=True)
class Dataset:
    """Pictures in the order of their file, their photos, and what was set aside.

    Raises:
        DataError: two pictures have the same id.
    """

    name: str
    pictures: tuple[Entry, ...]
    photos: Photos
    set_aside: tuple[SetAside, ...] = ()
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        counts = Counter(entry.id for entry in self.pictures)
        twice = [id for id, count in counts.items() if count > 1]
        if twice:
            raise DataError(
                f"{self.name}: {counted(len(twice), 'id belongs', 'ids belong')} to several "
                f"pictures, the first is {twice[0]!r}; every picture needs an id of its own."
            )

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.pictures)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The pictures' ids, in order."""
        return tuple(entry.id for entry in self.pictures)

    @cached_property
    def captions(self) -> dict[str, tuple[str, ...]]:
        """Captions by id, of those pictures that have any."""
        return {entry.id: entry.captions for entry in self.pictures if entry.captions}

    @cached_property
    def splits(self) -> dict[str, int]:
        """How many pictures each split has."""
        return dict(Counter(entry.split for entry in self.pictures))

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What looks wrong in the captions though they can be used: `captions.odd_words`."""
        texts = (caption for entry in self.pictures for caption in entry.captions)
        return tuple(odd_words(texts, "caption"))

    def split(self, name: str) -> "Dataset":
        """Give the pictures of one split ("val" and "validation" are read as "dev").

        Raises:
            DataError: there is no such split; the message names those that there are.
        """
        wanted = split_name(name)
        chosen = tuple(entry for entry in self.pictures if entry.split == wanted)
        if not chosen:
            known = ", ".join(f"{split} ({count})" for split, count in self.splits.items())
            raise DataError(
                f"{self.name}: no picture is in the split {name!r}."
                f"{nearest(name, self.splits)} Known: {known or 'none at all'}. Name one of "
                "these, or say which pictures belong to it: in the caption file's 'split', or with "
                "--splits FILE (lines id,split). --splits draw takes one training picture in ten "
                "for dev and one for test; where that leaves none, add pictures."
            )
        return replace(self, pictures=chosen)
