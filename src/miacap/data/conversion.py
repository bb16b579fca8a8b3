"""From files of features that somebody brings to a store of regions: streamed, and resumable.

    with DATA       pictures are met with the captions' ids (`given.ids`), and kept under those;
                    pictures that DATA does not have are counted and left out
    without         every picture is kept under the id that its file writes

Memory holds one picture and one shard of about 32 MiB. What is in the store already is not read
again, apart from the first few pictures, which have to be the same.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from miacap.data.dataset import Dataset
from miacap.data.features import Given
from miacap.data.given.boxes import Sizes, UnknownSize, read_sizes, relative
from miacap.data.given.forms import Form, form_of
from miacap.data.given.ids import Matching
from miacap.data.given.rows import BadFeatures, Beside, Found, Matrix, Rows, Size, checked
from miacap.data.manifest import NAME, Manifest
from miacap.data.spelling import ByForm
from miacap.data.store import FeatureStore, StoreWriter
from miacap.errors import DataError, RunError, SettingsError
from miacap.progress import Progress
from miacap.version import __version__
from miacap.wording import counted, none

Place = str | os.PathLike[str]

_SHARD_BYTES = 2**25
_LOOKED_AT = 5
"""Pictures that say how wide the features are."""
_COMPARED = 8
"""Pictures of the store that are held against their file when a conversion goes on."""


@dataclass
class Conversion:
    """What came of a conversion.

    Attributes:
        store: the features.
        form: of the files.
        boxes: whether the store has boxes.
        bad: picture -> why its features cannot be used.
        missing: pictures of the dataset that no file has.
        unknown: how many pictures of the files the dataset does not have.
        repeated: how many rows are of a picture that came before.
        without_boxes: why boxes that the files have were left out, or "".
    """

    store: FeatureStore
    form: str
    boxes: bool
    bad: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unknown: int = 0
    repeated: int = 0
    without_boxes: str = ""


def convert(
    files: Sequence[Place],
    folder: Place,
    dataset: Dataset | None = None,
    *,
    form: str | None = None,
    name: str | None = None,
    ids: Place | None = None,
    boxes: Place | None = None,
    sizes: Place | None = None,
    photo_size: Callable[[str], Size | None] | None = None,
    without_boxes: bool = False,
    quiet: bool = False,
) -> Conversion:
    """Convert features that people already have into a store.

    Started again, it goes on where it was stopped. Rows that cannot be used (cut short, damaged,
    not finite, of another width) are set aside, unless another row of the same picture is whole.

    Args:
        files: files or folders of one form, see `given.forms`.
        folder: of the store; made if absent.
        dataset: whose pictures are kept, under its ids; None keeps all under their own.
        form: "bottom-up", "vinvl", "folder", "npy" or "hdf5"; None looks.
        name: what the features are called; by default as the first file. A run is evaluated on
            features of the name that it was trained on.
        ids: file of ids, for one big matrix.
        boxes: folder of boxes, for a folder of features.
        sizes: file of photos' sizes, for boxes in pixels without them, see `given.boxes`.
        photo_size: gives the size of a photo by the dataset's id, where `sizes` does not; None
            where it does not know it.
        without_boxes: leave boxes out.
        quiet: show no progress.

    Raises:
        DataError: no known form, no picture of the dataset, not one row that can be used, or a
            file that ends in damage: what came before is kept.
        RunError: the folder holds something else.
        UnknownName, MissingExtra: no such form, or its library is not installed.
        SettingsError: no file, or something beside it that its form has no use for.
    """
    if not files:
        raise SettingsError("name at least one file of features.")
    paths = [Path(file) for file in files]
    forms = [form_of(path, form) for path in paths]
    beside = Beside(None if ids is None else Path(ids), None if boxes is None else Path(boxes))
    _require_taken(forms, beside, len(paths))
    known = _Sizing(Sizes() if sizes is None else read_sizes(Path(sizes)), photo_size)
    found = chain.from_iterable(
        form.found(path, beside) for path, form in zip(paths, forms, strict=True)
    )
    matched = _Matched(found, dataset)
    start = _Start.look(matched, known, without_boxes, files)
    about = Given(name or paths[0].resolve().stem, forms[0].title)
    return _fill(Path(folder), about, matched, start, known, dataset, quiet)


def _require_taken(forms: Sequence[Form], beside: Beside, files: int) -> None:
    """Refuse a second form, and options that the form has no use for."""
    if len({form.title for form in forms}) > 1:
        titles = ", ".join(sorted({form.title for form in forms}))
        raise DataError(f"The files have several forms ({titles}); convert one form at a time.")
    for option, value in (("ids", beside.ids), ("boxes", beside.boxes)):
        if value is not None and option not in forms[0].takes:
            raise SettingsError(f"--{option} {value}: a {forms[0].title} has no use for it.")
        if value is not None and files > 1:
            raise SettingsError(f"--{option} belongs to one file; convert one at a time.")


@dataclass(frozen=True)
class _Sizing:
    """How large photos are: as a file says it, or as the photo itself."""

    sizes: Sizes
    photo_size: Callable[[str], Size | None] | None

    def relative(self, name: str, one: Found, rows: Rows) -> Matrix | None:
        """Give boxes as parts of the photo; see `boxes.relative`."""
        size = None
        if rows.boxes is not None and rows.size is None and rows.scale != "relative":
            size = self.sizes.get(one.id)
            if size is None and self.photo_size is not None:
                size = self.photo_size(name)
        return relative(rows, one.where, size)


class _Matched:
    """The pictures of files under the ids that they are kept by; the rest is counted."""

    def __init__(self, found: Iterator[Found], dataset: Dataset | None) -> None:
        self._found = found
        self._matching = None if dataset is None else Matching(dataset.ids)
        self.dataset = dataset
        self.unknown = 0
        self.first_unknown = ""

    def __iter__(self) -> Iterator[tuple[str, Found]]:
        for one in self._found:
            name = one.id if self._matching is None else self._matching.find(one.id)
            if name:
                yield name, one
            else:
                self.unknown += 1
                self.first_unknown = self.first_unknown or one.id or one.where


@dataclass(frozen=True)
class _Start:
    """The first pictures, and what they say of all.

    Attributes:
        taken: those that were looked at, with their rows or what is wrong with them.
        rest: those that follow.
        width: numbers of a region.
        boxed: whether boxes are kept.
        without_boxes: why boxes that are there are not kept.
    """

    taken: list[tuple[str, Found, Rows | BadFeatures]]
    rest: Iterator[tuple[str, Found]]
    width: int
    boxed: bool
    without_boxes: str

    @classmethod
    def look(
        cls, matched: _Matched, sizes: _Sizing, without_boxes: bool, files: Sequence[Place]
    ) -> "_Start":
        """Read the first pictures. Raises DataError where nothing can be used."""
        rest = iter(matched)
        taken: list[tuple[str, Found, Rows | BadFeatures]] = []
        good: list[tuple[str, Found, Rows]] = []
        for name, one in rest:
            loaded = _loaded(one)
            if isinstance(loaded, Rows):
                good.append((name, one, loaded))
            # Its bytes are let go: of very many bad rows only the reasons stay.
            taken.append((name, replace(one, load=_nothing), loaded))
            if len(good) == _LOOKED_AT:
                break
        what = ", ".join(map(str, files))
        if not taken:
            raise DataError(_nothing_matched(what, matched))
        if not good:
            raise DataError(f"{what}: no features that can be used. {taken[0][2]}.")
        widths = Counter(rows.features.shape[1] for _, _, rows in good)
        width = widths.most_common(1)[0][0]
        usual = [taken for taken in good if taken[2].features.shape[1] == width]
        boxed, why = (False, "") if without_boxes else _boxed(usual, sizes)
        return cls(taken, rest, width, boxed, why)

    def pictures(self) -> Iterator[tuple[str, Found, Rows | BadFeatures | None]]:
        """Give all pictures; those that were looked at with what came of it."""
        yield from self.taken
        for name, one in self.rest:
            yield name, one, None


def _boxed(good: Sequence[tuple[str, Found, Rows]], sizes: _Sizing) -> tuple[bool, str]:
    """Whether the pictures have boxes that can be made relative, and why not."""
    for name, one, rows in good:
        try:
            if sizes.relative(name, one, rows) is not None:
                return True, ""
        except UnknownSize:
            return False, (
                "boxes are left out: they are in pixels, and the photos' sizes are not known. To "
                "keep them, read the features into another folder with --sizes FILE (annotations "
                "with the photos' width and height) or --photos FOLDER"
            )
        except BadFeatures:
            continue
    return False, ""


def _nothing_matched(what: str, matched: _Matched) -> str:
    if not matched.unknown:
        return f"{what}: no pictures at all."
    assert matched.dataset is not None
    return (
        f"{what}: {none(matched.unknown, 'picture', 'the')} is in {matched.dataset.name}; the "
        f"features call them like {matched.first_unknown!r}, the captions like "
        f"{matched.dataset.ids[0]!r}. Name the captions that these features belong to."
    )


def _nothing() -> Rows:
    raise AssertionError("these rows were read before")


def _loaded(one: Found) -> Rows | BadFeatures:
    try:
        return checked(one.load(), one.where)
    except BadFeatures as error:
        return error


def _fill(
    folder: Path,
    about: Given,
    matched: _Matched,
    start: _Start,
    sizes: _Sizing,
    dataset: Dataset | None,
    quiet: bool,
) -> Conversion:
    manifest = Manifest("regions", about, start.width, None, None, f"miacap {__version__}")
    comparing = _Comparing(folder)
    filling = _Filling(start, sizes)
    with StoreWriter(folder, manifest, shard_bytes=_SHARD_BYTES) as writer:
        done = ByForm(dict.fromkeys(writer.done))
        total = None if dataset is None else sum(id not in done for id in dataset.ids)
        with Progress("Reading features", total, "pictures", quiet) as progress:
            for name, one, loaded in start.pictures():
                comparing.look(name, one, loaded)
                if filling.take(writer, name, one, loaded):
                    progress.advance()
            filling.finish(writer)
    store = FeatureStore.open(folder)
    missing = (
        []
        if dataset is None
        else [id for id in dataset.ids if id not in store and id not in store.set_aside]
    )
    return Conversion(
        store,
        about.origin,
        start.boxed,
        filling.bad,
        tuple(missing),
        matched.unknown,
        filling.repeated,
        start.without_boxes,
    )


class _Comparing:
    """The first pictures that a store has already, held against what their file says now."""

    def __init__(self, folder: Path) -> None:
        there = (folder / NAME).is_file()
        self._store = FeatureStore.open(folder) if there else None
        self._left = _COMPARED

    def look(self, name: str, one: Found, loaded: Rows | BadFeatures | None) -> None:
        """Compare a picture. Raises RunError where it is another one."""
        if self._store is None or not self._left or name not in self._store:
            return
        loaded = _loaded(one) if loaded is None else loaded
        if isinstance(loaded, BadFeatures):
            return
        self._left -= 1
        if not torch.equal(_half(loaded.features), self._store.rows(name)):
            raise RunError(
                f"{self._store.folder}: holds other features of {name!r} than {one.where}. Choose "
                "another folder, or delete this one."
            )


class _Filling:
    """Pictures on their way from a file into a store."""

    def __init__(self, start: _Start, sizes: _Sizing) -> None:
        self._start, self._sizes = start, sizes
        self._seen: set[str] = set()
        self.bad: dict[str, str] = {}
        self.repeated = 0

    def take(
        self, writer: StoreWriter, name: str, one: Found, loaded: Rows | BadFeatures | None
    ) -> bool:
        """Store a picture, or remember what is wrong with it; whether it is new in the store."""
        if name in self._seen:
            self.repeated += 1
            return False
        if name in writer.done and name not in writer.reasons:
            self._seen.add(name)
            return False
        loaded = _loaded(one) if loaded is None else loaded
        try:
            features, boxes = self._fitting(name, one, loaded)
        except BadFeatures as error:
            self.bad.setdefault(name, f"{name}: {error}")
            return False
        writer.retry([name])
        writer.add(name, features, boxes)
        self._seen.add(name)
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

    def _fitting(
        self, name: str, one: Found, loaded: Rows | BadFeatures
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Give a picture's rows and boxes as the store has them. Raises BadFeatures."""
        if isinstance(loaded, BadFeatures):
            raise loaded
        width = loaded.features.shape[1]
        if width != self._start.width:
            raise BadFeatures(
                f"{one.where}: regions of {counted(width, 'number')}, the others have "
                f"{self._start.width}"
            )
        boxes: Matrix | None = None
        if self._start.boxed:
            try:
                boxes = self._sizes.relative(name, one, loaded)
            except UnknownSize as error:
                raise BadFeatures(str(error)) from None
            if boxes is None:
                raise BadFeatures(f"{one.where}: no boxes, and the others have them")
        return _half(loaded.features), None if boxes is None else torch.from_numpy(boxes)


def _half(features: Matrix) -> torch.Tensor:
    """Round to half precision, as numpy does and in a fiftieth of its time."""
    # A copy: torch warns of arrays that may not be written.
    return torch.from_numpy(np.array(features, order="C")).half()
