"""Pictures of given files on their way into a store of regions."""

from pathlib import Path

import numpy as np
import torch

from miacap.data.given.boxes import UnknownSize
from miacap.data.given.matched import First, Sizing, loaded_of
from miacap.data.given.rows import BadFeatures, Found, Matrix, Rows
from miacap.data.manifest import NAME
from miacap.data.store import FeatureStore, StoreWriter
from miacap.errors import RunError
from miacap.wording import counted

_COMPARED = 8
"""Pictures of the store that are held against their file when a conversion goes on."""


class Filling:
    """Pictures on their way from a file into a store.

    The first whole row of a picture counts, when it is stored and when it is compared.

    Args:
        folder: of the store; what it has already is held against the files, a few pictures of it.
        first: the first pictures, and what they say of all.
        sizes: of photos.

    Attributes:
        bad: picture -> why its features cannot be used.
        repeated: how many rows are of a picture that came before.

    Raises:
        RunError: the store has boxes and these pictures have none, or the other way round.
    """

    def __init__(self, folder: Path, first: First, sizes: Sizing) -> None:
        self._folder, self._first, self._sizes = folder, first, sizes
        self._stored = FeatureStore.open(folder) if (folder / NAME).is_file() else None
        if self._stored is not None and len(self._stored):
            _require_boxes(self._stored, first)
        self._left = _COMPARED
        self._seen: set[str] = set()
        self.bad: dict[str, str] = {}
        self.repeated = 0

    def take(
        self, writer: StoreWriter, name: str, one: Found, loaded: Rows | BadFeatures | None
    ) -> bool:
        """Store a picture, or remember what is wrong with it; whether it is new in the store.

        Raises:
            RunError: the store has other features or boxes of it.
        """
        if name in self._seen:
            self.repeated += 1
            return False
        stored = name in writer.done and name not in writer.reasons
        if stored and (self._stored is None or not self._left):
            self._seen.add(name)
            return False
        loaded = loaded_of(one) if loaded is None else loaded
        try:
            features, boxes = self._fitting(name, one, loaded)
        except BadFeatures as error:
            if not stored:
                self.bad.setdefault(name, f"{name}: {error}")
            return False
        self._seen.add(name)
        if stored:
            self._require_same(name, one, features, boxes)
            return False
        writer.retry([name])
        writer.add(name, features, boxes)
        self.bad.pop(name, None)
        return True

    def finish(self, writer: StoreWriter) -> None:
        """Set aside those pictures of which no row could be used."""
        for name, reason in self.bad.items():
            if name not in writer.done:
                writer.set_aside(name, reason)
            elif writer.reasons.get(name) != reason:
                writer.retry([name])
                writer.set_aside(name, reason)

    def _require_same(
        self, name: str, one: Found, features: torch.Tensor, boxes: torch.Tensor | None
    ) -> None:
        """Compare a picture with what the store has. Raises RunError where it is another one."""
        self._left -= 1
        rows, there = self._there(name)
        if not torch.equal(features, rows):
            what = f"other features of {name!r} than {one.where}"
        elif boxes is not None and (there is None or not torch.equal(boxes, there)):
            what = f"other boxes of {name!r} than {one.where} with these sizes of photos"
        else:
            return
        raise RunError(f"{self._folder}: holds {what}. Choose another folder, or delete this one.")

    def _there(self, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Give what the store has of a picture."""
        assert self._stored is not None
        try:
            return self._stored.rows(name), self._stored.boxes(name)
        except RunError:  # its shard was unfinished, and was finished since
            self._stored = FeatureStore.open(self._folder)
            return self._stored.rows(name), self._stored.boxes(name)

    def _fitting(
        self, name: str, one: Found, loaded: Rows | BadFeatures
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Give a picture's rows and boxes as the store has them. Raises BadFeatures."""
        if isinstance(loaded, BadFeatures):
            raise loaded
        width = loaded.features.shape[1]
        if width != self._first.width:
            raise BadFeatures(
                f"{one.where}: regions of {counted(width, 'number')}, the others have "
                f"{self._first.width}"
            )
        boxes: Matrix | None = None
        if self._first.boxed:
            try:
                boxes = self._sizes.relative(name, one, loaded)
            except UnknownSize as error:
                raise BadFeatures(str(error)) from None
            if boxes is None:
                raise BadFeatures(f"{one.where}: no boxes, and the others have them")
        return _half(loaded.features), None if boxes is None else torch.from_numpy(boxes)


def has_boxes(store: FeatureStore) -> bool:
    """Whether the pictures of a store have boxes; all have them or none has."""
    return any(store.boxes(name) is not None for name in store.names[:1])


def _require_boxes(stored: FeatureStore, first: First) -> None:
    """Refuse to go on with boxes where a store has none, or the other way round."""
    boxed = has_boxes(stored)
    if boxed == first.boxed:
        return
    here, now = ("with", "without") if boxed else ("without", "with")
    why = f" ({first.without_boxes})" if first.without_boxes else ""
    raise RunError(
        f"{stored.folder}: holds features {here} boxes, and what is read now comes {now} "
        f"boxes{why}. Give the options that this folder was made with, or choose another folder."
    )


def _half(features: Matrix) -> torch.Tensor:
    """Round to half precision, as numpy does and in a fiftieth of its time."""
    # A copy: torch warns of arrays that may not be written.
    return torch.from_numpy(np.array(features, order="C")).half()
