"""`miacap features read`: features that people already have, made into a folder of features."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.datasets import require_there
from miacap.cli.options import Data, Quiet
from miacap.wording import counted, first_lines, first_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from miacap.data import Conversion, Photos

_LISTED = 3
_REASONS = 20


class Form(StrEnum):
    """Forms of features; `data.given.forms.FORMS` has the same names."""

    bottom_up = "bottom-up"
    vinvl = "vinvl"
    folder = "folder"
    npy = "npy"
    hdf5 = "hdf5"


def read(
    file: Annotated[
        list[Path],
        typer.Argument(
            help="Files or folders of features: a bottom-up TSV, VinVL's TSV, a folder of NPZ or "
            "NPY files, one big NPY, HDF5; TSVs also in gzip or zip."
        ),
    ],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the features.")],
    form: Annotated[
        Form | None, typer.Option(help="What FILE is, where its content does not tell.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="What the features are called; FILE's name by default. A run is evaluated on "
            "features of the name that it was trained on."
        ),
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(help="Ids of the pictures, one for each row of one big NPY or HDF5 table."),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="Folder of boxes (NPY) for a folder of features.", metavar="FOLDER"),
    ] = None,
    sizes: Annotated[
        Path | None,
        typer.Option(
            help="Widths and heights of photos, for boxes in pixels without them: COCO's "
            "annotations, or hw.tsv."
        ),
    ] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder or tar with the photos of DATA, to take their sizes from; may be "
            "repeated. Photos are not needed otherwise."
        ),
    ] = None,
    without_boxes: Annotated[
        bool, typer.Option("--without-boxes", help="Leave boxes out.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Read features that you already have into a folder, for the pictures of DATA.

    Ids are matched with those of the captions: 391895, 000000391895.npz and
    COCO_val2014_000000391895.jpg are one picture. Interrupted, the same command
    goes on. A run trained on such features is evaluated as any other, and cannot
    see photos.

    Example: miacap features read trainval_36.tsv annotations -o features
    """
    from miacap.cli.reporting import report_set_aside
    from miacap.data import NoPhotos, OptionalPhotos, convert
    from miacap.data import read as read_data
    from miacap.data.given import forms
    from miacap.errors import DataError

    if forms.holds_features(data):
        raise DataError(
            f"{data}: holds features, and the last argument is DATA, the captions that they belong "
            "to: miacap features read FILE... DATA -o FOLDER"
        )
    for path in file:
        forms.require_there(path)
    require_there(boxes)
    require_there(ids, sizes, unpacks=True)
    dataset = read_data(data, photos=OptionalPhotos(tuple(photos)) if photos else NoPhotos())
    report_set_aside(dataset.set_aside)
    done = convert(
        file,
        output,
        dataset,
        form=None if form is None else form.value,
        name=name,
        ids=ids,
        boxes=boxes,
        sizes=sizes,
        photo_size=_photo_sizes(dataset.photos) if photos else None,
        without_boxes=without_boxes,
        quiet=quiet,
    )
    _tell(done, output)
    if not len(done.store):
        raise DataError(f"{output}: not one picture has features that can be used.")


def _photo_sizes(photos: "Photos") -> "Callable[[str], tuple[int, int] | None]":
    """Give what says the size of a picture's photo, None where it cannot be read."""
    from miacap.errors import DataError
    from miacap.visual import size_of

    def size(id: str) -> tuple[int, int] | None:
        try:
            return size_of(photos.read(id), id)
        except DataError:
            return None

    return size


def _tell(done: "Conversion", output: Path) -> None:
    """Say what came, what did not, and what is missing."""
    if done.without_boxes:
        terminal.tell(f"warning: {done.without_boxes}.")
    if done.changed:
        terminal.tell(
            f"warning: {first_names(done.changed, _LISTED)} had other bytes when {output} was "
            "filled before; pictures that were there stay as they are."
        )
    if done.ambiguous:
        theirs, one, other = done.first_ambiguous
        terminal.tell(f"left out: {theirs} may be {one} or {other}")
    for line in first_lines(done.bad.values(), _REASONS):
        terminal.tell(f"set aside: {line}")
    if done.missing:
        one, several = "picture of DATA has no features", "pictures of DATA have no features"
        terminal.tell(
            f"{counted(len(done.missing), one, several)}: {first_names(done.missing, _LISTED)}"
        )
    width = counted(done.store.manifest.width, "number")
    with_boxes = "with boxes" if done.boxes else "without boxes"
    terminal.result(
        f"{counted(len(done.store), 'picture')}, regions of {width}, {with_boxes}, in {output}"
    )
    for number, one, several in (
        (
            len(done.bad),
            "picture is set aside: its features cannot be used",
            "pictures are set aside: their features cannot be used",
        ),
        (
            done.repeated,
            "row is of a picture that came before",
            "rows are of pictures that came before",
        ),
        (
            done.unknown,
            "row is of a picture that DATA does not have",
            "rows are of pictures that DATA does not have",
        ),
        (
            done.ambiguous,
            "row is left out: it may be of one of several pictures of DATA",
            "rows are left out: each may be of one of several pictures of DATA",
        ),
    ):
        if number:
            terminal.result(counted(number, one, several))
