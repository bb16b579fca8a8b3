"""Fill a feature store: whole shards, each written once, whatever stops the writer."""

import contextlib
import os
import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from miacap.data.manifest import NAME, Manifest
from miacap.data.shards import (
    Index,
    Picture,
    finished_path,
    read_indexes,
    remove_unfinished,
    unfinished_path,
    write_shard,
)
from miacap.data.tensors import Shard, is_finite
from miacap.errors import DataError, MiacapError, RunError
from miacap.files import strangers
from miacap.locks import lock
from miacap.wording import counted

_LOCK = ".lock"
_LOCK_SECONDS = 2.0
_SECONDS_AT_RISK = 60.0
"""What a killed writer may lose."""
_OURS = (".manifest.json.*.part", ".shard-*.part", ".unfinished-*.part")


def dtype_of(manifest: Manifest) -> torch.dtype:
    """Give the type of a store's rows."""
    # Half precision changed the order of the best 49 concepts in a quarter of the rows.
    return torch.float16 if manifest.kind == "regions" else torch.float32


class StoreWriter:
    """Fill a store, or go on filling it; a context manager.

    Every `shard_size` pictures (those set aside count) a shard is finished, the rest when the
    block ends without an error. A block that ends with an error (Ctrl-C, a full disk) leaves
    what it has in hand as an unfinished shard, which the next writer goes on with; a killed
    writer loses what came in its last minute. Pictures in `done` need not be offered again;
    offered in the same order, the files have the same bytes however often the writer was stopped.

    Args:
        folder: of the store; made if absent.
        manifest: what it is about.
        shard_size: pictures a shard.
        shard_bytes: of their rows, at which a shard is finished with fewer; None sets no limit.

    Attributes:
        done: pictures that the store has, those set aside included.
        photos: picture -> SHA-256 of the photo that its features come from, where it is known.
        reasons: picture -> why it was set aside.

    Raises:
        RunError: the folder has another manifest, holds something else, or another writer is
            at work in it.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        manifest: Manifest,
        shard_size: int = 512,
        shard_bytes: int | None = None,
    ) -> None:
        if shard_size < 1:
            raise RunError(f"A shard holds at least one picture, not {shard_size}.")
        self.folder, self.manifest, self.shard_size = Path(folder), manifest, shard_size
        self.shard_bytes = shard_bytes
        self.done: set[str] = set()
        self.photos: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self._number = 0
        self._boxed: bool | None = None
        self._in_hand: dict[str, Picture] = {}
        self._again: set[str] = set()
        self._changed = False
        self._kept = time.monotonic()
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "StoreWriter":
        self._require_ours()
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock(self.folder / _LOCK, timeout=_LOCK_SECONDS))
            self._claim()
            for pattern in _OURS:  # of a killed writer: we hold the lock
                for left_over in self.folder.glob(pattern):
                    left_over.unlink(missing_ok=True)
            self._resume(read_indexes(self.folder))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open:
            if kind is not None:
                self._keep_after_error()
            elif self._in_hand:
                try:
                    self._finish()
                except BaseException:
                    self._keep_after_error()
                    raise

    def add(
        self, name: str, tensor: Tensor, boxes: Tensor | None = None, photo: str | None = None
    ) -> None:
        """Add a picture.

        Args:
            name: its id.
            tensor: regions: k x width; concepts: width probabilities.
            boxes: k x 4, relative to the photo; for all pictures of a store or for none.
            photo: SHA-256 of the photo that the features come from.

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
                    f"{name}: boxes of shape {tuple(boxes.shape)} for "
                    f"{counted(len(rows), 'region')}."
                )
            boxes = boxes.detach().to("cpu", torch.float32, copy=True)
            if not is_finite(boxes):
                raise DataError(f"{name}: boxes hold numbers that are not finite.")
        self._boxed = boxes is not None
        self._take(name, Picture(rows, boxes, photo=photo))

    def set_aside(self, name: str, reason: str, photo: str | None = None) -> None:
        """Remember that a picture has no features, and why.

        Args:
            name: its id.
            reason: what is wrong with its photo.
            photo: SHA-256 of the photo.

        Raises:
            RunError: it has features already.
        """
        self._refuse_second(name)
        self._take(name, Picture(None, reason=reason, photo=photo))

    def retry(self, names: Iterable[str]) -> None:
        """Let pictures that are in the store come once more; what comes then counts."""
        names = set(names) & self.done
        self._again |= names
        self.done -= names

    def retry_changed(self, found: Container[str], reasons: Mapping[str, str]) -> None:
        """Let pictures that were set aside come once more, where something is new of them.

        Args:
            found: pictures that have rows by now.
            reasons: picture -> why it is set aside now.
        """
        self.retry(
            name
            for name, before in self.reasons.items()
            if name in found or reasons.get(name, before) != before
        )

    def _require_ours(self) -> None:
        """Refuse a folder that holds something else before anything in it is touched."""
        lock_file = self.folder / _LOCK
        if lock_file.is_symlink() or (lock_file.exists() and not lock_file.is_file()):
            raise RunError(f"{lock_file}: is no file of ours; choose another folder.")
        if (self.folder / NAME).is_file():
            self._require_same()
            return
        others = strangers(self.folder, (_LOCK,))
        if not others and lock_file.exists() and not _is_number(lock_file):
            others = [_LOCK]
        if others:
            raise RunError(
                f"{self.folder}: this folder holds {others[0]!r} and no feature store; choose an "
                "empty or new folder."
            )

    def _require_same(self) -> None:
        differences = Manifest.read(self.folder).differences(self.manifest)
        if differences:
            raise RunError(
                f"{self.folder}: the features here were made otherwise ("
                + "; ".join(differences).replace(" there", " now")
                + "). Choose another folder, or delete this one."
            )

    def _claim(self) -> None:
        # Looked at once more: somebody may have been faster.
        self._require_ours()
        if not (self.folder / NAME).is_file():
            self.manifest.write(self.folder)

    def _resume(self, indexes: list[Index]) -> None:
        for index in indexes:
            self.done |= index.rows.keys() | index.set_aside.keys()
            for name in (*index.rows, *index.set_aside):
                self._remember(name, index.set_aside.get(name), index.photos.get(name))
            if self._boxed is None and index.rows:
                self._boxed = self._shard(index, verify=False).boxed
        last = indexes[-1] if indexes else None
        self._number = 0 if last is None else last.number + last.finished
        unfinished = last if last is not None and not last.finished else None
        remove_unfinished(self.folder, None if unfinished is None else unfinished.path)
        if unfinished is not None:
            self._in_hand = self._read_back(unfinished)

    def _remember(self, name: str, reason: str | None, photo: str | None) -> None:
        for kept, value in ((self.reasons, reason), (self.photos, photo)):
            kept.pop(name, None)
            if value is not None:
                kept[name] = value

    def _read_back(self, index: Index) -> dict[str, Picture]:
        shard = self._shard(index) if index.rows else None
        pictures, start = {}, 0
        # As they came: an index keeps pictures with rows and those without apart.
        for name in (*index.rows, *index.set_aside):
            end = start + index.rows.get(name, 0)
            whole = shard is not None and end > start
            pictures[name] = Picture(
                shard.rows(start, end) if shard and whole else None,
                shard.boxes(start, end) if shard and whole else None,
                index.set_aside.get(name),
                index.photos.get(name),
                name in index.again,
            )
            start = end
        return pictures

    def _shard(self, index: Index, verify: bool = True) -> Shard:
        return Shard(index, self.manifest.width, dtype_of(self.manifest), verify)

    def _refuse_second(self, name: str) -> None:
        if name in self.done:
            raise RunError(f"{self.folder}: {name!r} is in this store already; ask done first.")

    def _checked(self, name: str, tensor: Tensor) -> Tensor:
        concepts = self.manifest.kind == "concepts"
        rows = tensor.detach()[None] if concepts else tensor.detach()
        if rows.ndim != 2 or rows.shape[1] != self.manifest.width or len(rows) == 0:
            wanted = f"({self.manifest.width},)" if concepts else f"(k, {self.manifest.width})"
            raise DataError(f"{name}: features of shape {tuple(tensor.shape)}, not {wanted}.")
        rows = rows.to("cpu", dtype_of(self.manifest), copy=True)
        if not is_finite(rows):
            raise DataError(f"{name}: features hold numbers that are not finite in {rows.dtype}.")
        return rows

    def _take(self, name: str, picture: Picture) -> None:
        # Ctrl-C may come between any two lines. One assignment puts the picture in hand, and what
        # is known of it follows.
        self._changed = True
        if name in self._again:
            before = self._in_hand.get(name)
            picture = replace(picture, again=before is None or before.again)
            others = {kept: own for kept, own in self._in_hand.items() if kept != name}
            self._in_hand = {**others, name: picture}
        else:
            self._in_hand[name] = picture
        self._again.discard(name)
        self.done.add(name)
        self._remember(name, picture.reason, picture.photo)
        if len(self._in_hand) >= self.shard_size or self._is_large():
            self._finish()
        elif time.monotonic() - self._kept > _SECONDS_AT_RISK:
            self._keep()

    def _is_large(self) -> bool:
        """Whether what is in hand has as many bytes as a shard may have."""
        if self.shard_bytes is None:
            return False
        return self.shard_bytes <= sum(
            picture.rows.nbytes for picture in self._in_hand.values() if picture.rows is not None
        )

    def _finish(self) -> None:
        self._require_there()
        write_shard(finished_path(self.folder, self._number), self._in_hand)
        remove_unfinished(self.folder)
        self._kept = time.monotonic()
        # Ctrl-C before this line leaves an unfinished shard of this number, which no longer counts;
        # under the next number it would hold the same pictures a second time.
        self._in_hand, self._number, self._changed = {}, self._number + 1, False

    def _keep_after_error(self) -> None:
        if self._in_hand and self._changed:
            with contextlib.suppress(OSError, MiacapError):  # the error says more
                self._keep()

    def _keep(self) -> None:
        """Leave what is in hand to the next writer."""
        self._require_there()
        path = unfinished_path(self.folder, self._number)
        write_shard(path, self._in_hand)
        remove_unfinished(self.folder, keep=path)
        self._changed, self._kept = False, time.monotonic()

    def _require_there(self) -> None:
        """Refuse to write into a folder that was deleted or replaced while it was filled."""
        if not (self.folder / NAME).is_file():
            raise RunError(
                f"{self.folder}: was deleted or moved while it was filled. Start the same command "
                "again to begin anew."
            )


def _is_number(path: Path) -> bool:
    """Whether a lock file is as we write it: empty, or the number of a process."""
    try:
        return path.read_bytes()[:20].decode("ascii", "replace").strip("0123456789") == ""
    except OSError:
        return False
