"""The feature store: what a backbone or a concept extractor saw, by picture.

A folder with `manifest.json` and shards (see `shards`): regions in half precision, concept
scores in single precision, read picture by picture, so that a store larger than memory is read
at random and by many processes. `StoreWriter` fills one.
"""

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from miacap.data.features import Given
from miacap.data.manifest import Manifest
from miacap.data.shards import Index, read_indexes
from miacap.data.spelling import ByForm
from miacap.data.tensors import Shard
from miacap.data.writing import StoreWriter, dtype_of
from miacap.errors import DataError, RunError
from miacap.wording import by_number, part

__all__ = ["FeatureStore", "Manifest", "StoreWriter"]


class FeatureStore:
    """A store opened for reading; use `open`.

    A store is picklable and may be read from many threads and processes at once. A picture is
    found whether its name is asked for in Unicode NFC or NFD (see `spelling`).

    Attributes:
        folder: of the store.
        manifest: what it is about.
        set_aside: picture -> why it has no features.
        photos: picture -> SHA-256 of its photo, where it is known.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        manifest: Manifest,
        indexes: list[Index],
        verify: bool,
    ):
        self.folder, self.manifest, self._verify = Path(folder), manifest, verify
        self._indexes = indexes
        self._shards: dict[int, Shard] = {}
        self._rows: dict[str, tuple[int, int, int]] = {}  # number of the shard, first row, end
        self.set_aside: dict[str, str] = {}
        self.photos: dict[str, str] = {}
        for number, index in enumerate(indexes):
            self._take(number, index)
        self._rows, self.set_aside = ByForm(self._rows), ByForm(self.set_aside)
        self.photos = ByForm(self.photos)

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, verify: bool = True) -> "FeatureStore":
        """Open a store.

        Args:
            folder: of the store.
            verify: compare each shard with its checksum when it is first read.

        Raises:
            RunError: no store, a newer format, or a damaged shard or index; it is named.
        """
        folder = Path(folder)
        return cls(folder, Manifest.read(folder), read_indexes(folder), verify)

    @property
    def kind(self) -> str:
        """Kind: "regions" or "concepts"."""
        return self.manifest.kind

    @property
    def names(self) -> tuple[str, ...]:
        """The pictures in the order in which they came."""
        return tuple(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def rows(self, name: str) -> Tensor:
        """Give a picture's features.

        Returns:
            regions: k x width in half precision; concepts: width probabilities in single.

        Raises:
            DataError: the store has no such picture.
            RunError: its shard is damaged.
        """
        shard, start, end = self._find(name)
        rows = shard.rows(start, end)
        return rows if self.manifest.kind == "regions" else rows[0]

    def count(self, name: str) -> int:
        """Give the number of a picture's rows, without reading them; errors as of `rows`."""
        _, start, end = self._find(name)
        return end - start

    def rows_of(self, names: Iterable[str]) -> list[Tensor]:
        """Give several pictures' features, as `rows` does."""
        return [self.rows(name) for name in names]

    def boxes(self, name: str) -> Tensor | None:
        """Give a picture's boxes: k x 4 (x0 y0 x1 y1, relative to the photo), or None."""
        shard, start, end = self._find(name)
        return shard.boxes(start, end)

    def require(self, names: Sequence[str]) -> None:
        """See that every picture is here.

        Raises:
            DataError: some are not; the message has the first few and the count.
        """
        absent = [name for name in names if name not in self._rows]
        if absent:
            first = ", ".join(repr(name) for name in absent[:3])
            aside = sum(name in self.set_aside for name in absent)
            broken = (
                f"; {aside} of them {by_number(aside, 'was', 'were')} set aside when it was made"
            )
            raise DataError(
                f"{self.folder}: {part(len(absent), len(names), 'picture', 'is', 'are')} not in "
                "this "
                f"store of {self.kind}, the first: {first}{broken if aside else ''}. "
                f"{self._how_to_get_them()}, or leave them out: name the others alone in --splits "
                "FILE (lines id,split)."
            )

    def _how_to_get_them(self) -> str:
        """Say how pictures that are not here come in."""
        if self.kind != "regions":
            return "Extract them"
        record = self.manifest.preprocessing
        if not isinstance(record, Given):
            return f"Extract them (miacap features DATA -o {self.folder})"
        return (
            f"Nothing here can make features {record.name!r} of them: read the file that has them "
            f"(miacap features read FILE DATA --name {shlex.quote(record.name)} -o {self.folder})"
        )

    def _take(self, number: int, index: Index) -> None:
        """Add the pictures of a shard, in place of those that it has again."""
        again = frozenset(index.again)
        start = 0
        for name in (*index.rows, *index.set_aside):
            if name not in again and (name in self._rows or name in self.set_aside):
                raise RunError(
                    f"{index.path}: {name!r} is in an earlier shard as well; a store holds a "
                    "picture once. Delete this shard and its index, and extract again."
                )
            if name in index.rows:
                self.set_aside.pop(name, None)
                self._rows[name] = (number, start, start + index.rows[name])
                start += index.rows[name]
            else:
                self._rows.pop(name, None)
                self.set_aside[name] = index.set_aside[name]
            self.photos.pop(name, None)
        self.photos |= index.photos

    def _find(self, name: str) -> tuple[Shard, int, int]:
        if name not in self._rows:
            self.require([name])
        number, start, end = self._rows[name]
        if number not in self._shards:
            width, dtype = self.manifest.width, dtype_of(self.manifest)
            self._shards[number] = Shard(self._indexes[number], width, dtype, self._verify)
        return self._shards[number], start, end

    def __getstate__(self) -> dict[str, object]:
        # The other side sees for itself that the files are whole.
        return {**self.__dict__, "_shards": {}}
