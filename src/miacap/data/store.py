"""The feature store: what a backbone or a concept extractor saw, by picture.

A folder with `manifest.json` and shards (see `shards`): regions in half precision, concept
scores in single precision, memory-mapped, so that a store larger than memory is read at random
and by many processes. A writer that was killed goes on where its last finished shard ends, and
the bytes come out as if it had never stopped.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from miacap.data.manifest import NAME, Manifest
from miacap.data.shards import Index, Shard, next_number, read_indexes, write_shard
from miacap.errors import DataError, RunError
from miacap.files import lock, strangers

__all__ = ["FeatureStore", "Manifest", "StoreWriter"]

_LOCK = ".lock"
_LOCK_SECONDS = 2.0


def _dtype(manifest: Manifest) -> torch.dtype:
    # Half precision changed the order of the best 49 concepts in a quarter of the rows.
    return torch.float16 if manifest.kind == "regions" else torch.float32


class FeatureStore:
    """A store opened for reading; use `open`.

    Tensors are views of the files: read them, copy them, do not write into them. A store is
    picklable and may be read from many processes at once.
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
        self._places: dict[str, tuple[int, int, int]] = {}
        self.set_aside: dict[str, str] = {}
        for number, index in enumerate(indexes):
            self.set_aside |= index.set_aside
            start = 0
            for name, count in index.rows.items():
                if name in self._places:
                    raise RunError(
                        f"{index.path}: {name!r} is in an earlier shard as well; a store holds a "
                        "picture once. Delete this shard and its index, and extract again."
                    )
                self._places[name] = (number, start, start + count)
                start += count

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, verify: bool = True) -> "FeatureStore":
        """Open a store.

        Args:
            folder: of the store.
            verify: compare each shard with its checksum when it is first read.

        Raises:
            RunError: no store, a newer format, or a damaged shard or index; it is named.
        """
        place = Path(folder)
        manifest = Manifest.read(place)
        return cls(place, manifest, read_indexes(place), verify)

    @property
    def kind(self) -> str:
        """Kind: "regions" or "concepts"."""
        return self.manifest.kind

    @property
    def names(self) -> tuple[str, ...]:
        """The pictures in the order in which they came."""
        return tuple(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def rows(self, name: str) -> Tensor:
        """Give a picture's features.

        Returns:
            regions: k x width in half precision; concepts: width probabilities in single.

        Raises:
            DataError: the store has no such picture.
            RunError: its shard is damaged.
        """
        shard, start, end = self._place(name)
        rows = shard.rows[start:end]
        return rows if self.manifest.kind == "regions" else rows[0]

    def rows_of(self, names: Iterable[str]) -> list[Tensor]:
        """Give several pictures' features, as `rows` does."""
        return [self.rows(name) for name in names]

    def boxes(self, name: str) -> Tensor | None:
        """Give a picture's boxes: k x 4 (x0 y0 x1 y1, relative to the photo), or None."""
        shard, start, end = self._place(name)
        return None if shard.boxes is None else shard.boxes[start:end]

    def require(self, names: Sequence[str]) -> None:
        """See that every picture is here.

        Raises:
            DataError: some are not; the message has the first few and the count.
        """
        absent = [name for name in names if name not in self._places]
        if absent:
            first = ", ".join(repr(name) for name in absent[:3])
            aside = sum(name in self.set_aside for name in absent)
            broken = f"; {aside} of them were set aside when it was made" if aside else ""
            raise DataError(
                f"{self.folder}: {len(absent)} of {len(names)} pictures are not in this store of "
                f"{self.kind}, the first: {first}{broken}. Extract them, or leave them out."
            )

    def _place(self, name: str) -> tuple[Shard, int, int]:
        if name not in self._places:
            self.require([name])
        number, start, end = self._places[name]
        if number not in self._shards:
            self._shards[number] = Shard(
                self._indexes[number], self.manifest.width, _dtype(self.manifest), self._verify
            )
        return self._shards[number], start, end

    def __getstate__(self) -> dict[str, object]:
        # A mapped file does not travel to another process; the other side maps it again.
        return {**self.__dict__, "_shards": {}}


class StoreWriter:
    """Fill a store, or go on filling it; a context manager.

    Every `shard_size` pictures (those set aside count) a shard is finished, the rest when the
    block ends without an error. Pictures in `done` need not be offered again; offered in the
    same order, the files have the same bytes however often the writer was stopped.

    Args:
        folder: of the store; made if absent.
        manifest: what it is about.
        shard_size: pictures a shard.

    Raises:
        RunError: the folder has another manifest, holds something else, or another writer is
            at work in it.
    """

    def __init__(
        self, folder: str | os.PathLike[str], manifest: Manifest, shard_size: int = 512
    ) -> None:
        if shard_size < 1:
            raise RunError(f"A shard holds at least one picture, not {shard_size}.")
        self.folder, self.manifest, self.shard_size = Path(folder), manifest, shard_size
        self.done: set[str] = set()
        self._number = 0
        self._boxed: bool | None = None
        self._rows: dict[str, Tensor] = {}
        self._boxes: dict[str, Tensor] = {}
        self._set_aside: dict[str, str] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "StoreWriter":
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock(self.folder / _LOCK, timeout=_LOCK_SECONDS))
            for left_over in self.folder.glob(".*.part"):  # of a killed writer: we hold the lock
                left_over.unlink(missing_ok=True)
            self._claim()
            indexes = read_indexes(self.folder)
            self._number = next_number(indexes)
            for index in indexes:
                self.done |= index.rows.keys() | index.set_aside.keys()
            self._boxed = _boxed(indexes, self.manifest)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open:
            # After an error the unfinished shard is dropped: its pictures come again, and
            # shards keep the same borders as in an undisturbed run.
            if kind is None and (self._rows or self._set_aside):
                self._finish()

    def add(self, name: str, tensor: Tensor, boxes: Tensor | None = None) -> None:
        """Add a picture.

        Args:
            name: its id.
            tensor: regions: k x width; concepts: width probabilities.
            boxes: k x 4, relative to the photo; for all pictures of a store or for none.

        Raises:
            RunError: the picture is here already, or has boxes where others have none.
            DataError: a wrong shape, or numbers that are not finite (in half precision).
        """
        self._refuse_second(name)
        rows = self._checked(name, tensor)
        if self._boxed not in (None, boxes is not None):
            raise RunError(
                f"{self.folder}: {name!r} comes {'with' if boxes is not None else 'without'} boxes "
                "and others do not; all pictures of a store have boxes or none has."
            )
        if boxes is not None:
            if tuple(boxes.shape) != (len(rows), 4):
                raise DataError(
                    f"{name}: boxes of shape {tuple(boxes.shape)} for {len(rows)} regions."
                )
            self._boxes[name] = boxes.detach().to("cpu", torch.float32, copy=True)
        self._boxed = boxes is not None
        self._rows[name] = rows
        self._advance()

    def set_aside(self, name: str, reason: str) -> None:
        """Remember that a picture has no features, and why. Raises RunError if it has some."""
        self._refuse_second(name)
        self._set_aside[name] = reason
        self._advance()

    def _claim(self) -> None:
        if (self.folder / NAME).is_file():
            there = Manifest.read(self.folder)
            differences = there.differences(self.manifest)
            if differences:
                raise RunError(
                    f"{self.folder}: the features here were made otherwise ("
                    + "; ".join(differences).replace(" there", " now")
                    + "). Choose another folder, or delete this one."
                )
            return
        others = strangers(self.folder, (_LOCK,))
        if others:
            raise RunError(
                f"{self.folder}: this folder holds {others[0]!r} and no feature store; choose an "
                "empty or new folder."
            )
        self.manifest.write(self.folder)

    def _refuse_second(self, name: str) -> None:
        if name in self.done or name in self._rows or name in self._set_aside:
            raise RunError(f"{self.folder}: {name!r} is in this store already; ask done first.")

    def _checked(self, name: str, tensor: Tensor) -> Tensor:
        concepts = self.manifest.kind == "concepts"
        rows = tensor.detach()[None] if concepts else tensor.detach()
        if rows.ndim != 2 or rows.shape[1] != self.manifest.width or len(rows) == 0:
            wanted = f"({self.manifest.width},)" if concepts else f"(k, {self.manifest.width})"
            raise DataError(f"{name}: features of shape {tuple(tensor.shape)}, not {wanted}.")
        rows = rows.to("cpu", _dtype(self.manifest), copy=True)
        if not bool(rows.isfinite().all()):
            raise DataError(f"{name}: features hold numbers that are not finite in {rows.dtype}.")
        return rows

    def _advance(self) -> None:
        if len(self._rows) + len(self._set_aside) >= self.shard_size:
            self._finish()

    def _finish(self) -> None:
        write_shard(self.folder, self._number, self._rows, self._boxes, self._set_aside)
        self.done |= self._rows.keys() | self._set_aside.keys()
        self._number += 1
        self._rows, self._boxes, self._set_aside = {}, {}, {}


def _boxed(indexes: list[Index], manifest: Manifest) -> bool | None:
    """Whether the pictures of a store have boxes; None while there are none."""
    for index in indexes:
        if index.rows:
            return Shard(index, manifest.width, _dtype(manifest), verify=False).boxes is not None
    return None
