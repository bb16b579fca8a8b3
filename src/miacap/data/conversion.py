"""From files of features that somebody brings to a store of regions: streamed, and resumable.

    with DATA       pictures are matched with the captions' ids (`given.ids`), and kept under those;
                    pictures that DATA does not have are counted and left out
    without         every picture is kept under the id that its file writes

Memory holds one picture and one shard of about 32 MiB. What is in the store already is not read
again, apart from the first few pictures, which have to be the same.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from miacap.data.dataset import Dataset
from miacap.data.features import Given
from miacap.data.filling import Filling, has_boxes
from miacap.data.given.boxes import Sizes, read_sizes
from miacap.data.given.forms import Form, form_of
from miacap.data.given.matched import First, Matched, Sizing
from miacap.data.given.rows import Beside, Size
from miacap.data.manifest import Manifest
from miacap.data.sources import note_sources
from miacap.data.spelling import ByForm
from miacap.data.store import FeatureStore, StoreWriter
from miacap.errors import DataError, SettingsError
from miacap.progress import Progress
from miacap.version import __version__

Place = str | os.PathLike[str]

_SHARD_BYTES = 2**25


@dataclass
class Conversion:
    """What came of a conversion.

    Attributes:
        store: the features.
        form: of the files.
        boxes: whether the store has boxes.
        bad: picture -> why its features cannot be used.
        missing: pictures of the dataset that no file has.
        unknown: how many rows are of pictures that the dataset does not have.
        repeated: how many rows are of a picture that came before.
        without_boxes: why boxes that the files have were left out, or "".
        ambiguous: how many rows may be of one of several pictures of the dataset.
        first_ambiguous: what the file calls the first of these, and two pictures that it may be.
        changed: files that had other bytes when the store was filled from them before.
    """

    store: FeatureStore
    form: str
    boxes: bool
    bad: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unknown: int = 0
    repeated: int = 0
    without_boxes: str = ""
    ambiguous: int = 0
    first_ambiguous: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


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
        name: what the features are called; by default as the first file.
        ids: file of ids, for one big matrix.
        boxes: folder of boxes, for a folder of features.
        sizes: file of photos' sizes, for boxes in pixels without them, see `given.boxes`.
        photo_size: gives a photo's size by the dataset's id, or None, where `sizes` does not.
        without_boxes: leave boxes out.
        quiet: show no progress.

    Raises:
        DataError: no known form, no picture of the dataset, not one row that can be used, or a
            file that ends in damage: what came before is kept.
        RunError: the folder holds something else, or other features or boxes.
        UnknownName, MissingExtra, SettingsError: no such form, its library is not installed, or
            it has no use for what is beside it.
    """
    paths = [Path(file) for file in files]
    beside = Beside(None if ids is None else Path(ids), None if boxes is None else Path(boxes))
    forms = _forms(paths, form, beside)
    sizing = Sizing(Sizes() if sizes is None else read_sizes(Path(sizes)), photo_size)
    found = (one.found(path, beside) for path, one in zip(paths, forms, strict=True))
    matched = Matched(chain.from_iterable(found), dataset)
    first = First.look(matched, sizing, without_boxes, ", ".join(map(str, files)))
    about = Given(name or paths[0].resolve().stem, forms[0].title)
    beside_them = [Path(path) for path in (ids, boxes, sizes) if path is not None]
    return _fill(Path(folder), about, matched, first, sizing, (*paths, *beside_them), quiet)


def _forms(paths: Sequence[Path], name: str | None, beside: Beside) -> list[Form]:
    """Give each file's form; refuse a second one, and options that it has no use for."""
    if not paths:
        raise SettingsError("name at least one file of features.")
    forms = [form_of(path, name) for path in paths]
    if len({form.title for form in forms}) > 1:
        titles = ", ".join(sorted({form.title for form in forms}))
        raise DataError(f"The files have several forms ({titles}); convert one form at a time.")
    for option, value in (("ids", beside.ids), ("boxes", beside.boxes)):
        if value is not None and option not in forms[0].takes:
            raise SettingsError(f"--{option} {value}: a {forms[0].title} has no use for it.")
        if value is not None and len(paths) > 1:
            raise SettingsError(f"--{option} belongs to one file; convert one at a time.")
    return forms


def _fill(
    folder: Path,
    about: Given,
    matched: Matched,
    first: First,
    sizes: Sizing,
    sources: Sequence[Path],
    quiet: bool,
) -> Conversion:
    manifest = Manifest("regions", about, first.width, None, None, f"miacap {__version__}")
    ids = () if matched.dataset is None else matched.dataset.ids
    with StoreWriter(folder, manifest, shard_bytes=_SHARD_BYTES) as writer:
        filling = Filling(folder, first, sizes)
        done = ByForm(dict.fromkeys(writer.done))
        total = None if matched.dataset is None else sum(id not in done for id in ids)
        with Progress("Reading features", total, "pictures", quiet) as progress:
            for name, one, loaded in first.pictures():
                if filling.take(writer, name, one, loaded):
                    progress.advance()
            filling.finish(writer)
        changed = note_sources(folder, sources)
    store = FeatureStore.open(folder)
    return Conversion(
        store,
        about.origin,
        has_boxes(store),
        filling.bad,
        tuple(id for id in ids if id not in store and id not in store.set_aside),
        matched.unknown,
        filling.repeated,
        first.without_boxes,
        matched.ambiguous,
        matched.first_ambiguous,
        changed,
    )
