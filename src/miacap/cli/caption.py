"""`miacap caption`: photos in, sentences out."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miacap import terminal
from miacap.cli.options import Device, Download, LengthPenalty, Quiet, Weights
from miacap.cli.outputs import check_outputs
from miacap.wording import part

if TYPE_CHECKING:
    from miacap.captioning import Row

_LISTED = 3
_NUMBERED = re.compile(r"(?:COCO_[^_]+_(?=[0-9]{12}$))?([0-9]{1,18})")
"""COCO_val2014_000000391895, or digits alone."""


class Form(StrEnum):
    """How captions are printed."""

    text = "text"
    jsonl = "jsonl"
    csv = "csv"
    coco = "coco"


def caption(
    photo: Annotated[list[str], typer.Argument(help="Photos, or folders of photos.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(
            "--run",
            help="A trained run folder, or an installed captioner's name; several are averaged "
            "word by word. The installed captioner by default.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write captions here.")
    ] = None,
    form: Annotated[
        Form,
        typer.Option(
            "--format", help="text for people, jsonl and csv for programs, coco for scorers."
        ),
    ] = Form.text,
    beam: Annotated[
        int | None, typer.Option(help="Hypotheses; the run's own by default.", min=1)
    ] = None,
    length_penalty: LengthPenalty = None,
    batch_size: Annotated[int, typer.Option(help="Photos at a time.", min=1)] = 16,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
    quiet: Quiet = False,
) -> None:
    """Caption photos with the installed captioner, a trained run, or an ensemble of several.

    jsonl prints {"id", "caption", "log_probability"} or {"id", "error"} for each photo,
    in the order given; csv has these four columns; coco is a list of {"image_id",
    "caption"}. Exit code 1 if nothing was captioned, or all captions are empty.

    Example: miacap caption photo.jpg

    With a run of yours: miacap caption photo.jpg --run runs/combined

    An ensemble: miacap caption photo.jpg --run runs/a --run runs/b
    """
    from miacap import captioning
    from miacap.cli.chosen import chosen_runs
    from miacap.memory import keep_freed
    from miacap.progress import Progress

    _refuse_runs(photo)
    folders = chosen_runs(run)
    photos = [path for argument in photo for path in _expand(argument)]
    check_outputs([output], inputs=map(Path, photos), folders=folders)
    if form is Form.coco:
        _require_unique_ids(photos)
    keep_freed()
    pipeline = captioning.load(
        folders, beam=beam, length_penalty=length_penalty, batch_size=batch_size, device=device,
        weights=weights or (), allow_download=download,
    )  # fmt: skip
    for folder in folders:
        if said := captioning.doubt(folder):
            terminal.tell(f"warning: {folder}: {said}")
    counts = {"captioned": 0, "empty": 0}
    # One photo needs no progress; a folder does.
    with Progress("captioning", len(photos), "photos", quiet or len(photos) < 20) as progress:
        rows = _counted(pipeline.rows(photos), progress, counts)
        _write(rows, form, output, alone=len(photos) == 1)
    if counts["empty"]:
        terminal.tell(
            f"warning: {part(counts['empty'], counts['captioned'], 'caption', 'is', 'are')} empty; "
            "try a smaller --beam, or train longer."
        )
    if counts["captioned"] == counts["empty"]:
        raise typer.Exit(1)


def _counted(rows: Iterable["Row"], progress: Any, counts: dict[str, int]) -> Iterator["Row"]:
    for row in rows:
        progress.advance()
        counts["captioned"] += row.caption is not None
        counts["empty"] += row.caption == ""
        yield row


def _write(rows: Iterable["Row"], form: Form, output: Path | None, alone: bool) -> None:
    """Write rows to a file, exactly, or to standard output, as a terminal may be shown them."""
    from miacap.files import output as opened

    with contextlib.ExitStack() as stack:
        file = None if output is None else stack.enter_context(opened(output))
        for columns in _laid_out(rows, form, alone):
            if file is None:
                terminal.result(*columns)
            else:
                cells = map(terminal.escape, columns) if form is Form.text else columns
                file.write("\t".join(cells) + "\n")


def _laid_out(rows: Iterable["Row"], form: Form, alone: bool) -> Iterator[list[str]]:
    """Give the lines of a form, each as its columns; text and coco tell errors apart."""
    from miacap.cli.reporting import csv_line

    coco = []
    if form is Form.csv:
        yield [csv_line(["id", "caption", "log_probability", "error"])]
    for row in rows:
        told = row.to_json()
        if form is Form.jsonl:
            yield [terminal.json_text(told)]
        elif form is Form.csv:
            names = ("id", "caption", "log_probability", "error")
            yield [csv_line([told.get(name, "") for name in names])]
        elif row.error is not None:
            terminal.tell(f"miacap: {row.error}")
        elif form is Form.coco:
            coco.append({"image_id": _image_id(row.id), "caption": row.caption})
        else:
            yield [*([] if alone else [row.id]), row.caption or ""]
    if form is Form.coco:
        yield [terminal.json_text(coco)]


def _image_id(name: str) -> int | str:
    """Give the number of a photo that COCO named, or that is all digits, and else its path."""
    number = _NUMBERED.fullmatch(Path(name).stem)
    return int(number[1]) if number else name


def _require_unique_ids(photos: Iterable[str]) -> None:
    from miacap.errors import DataError

    taken: dict[int | str, str] = {}
    for photo in photos:
        id = _image_id(photo)
        if id in taken:
            raise DataError(
                f"{photo}: has the image_id {id!r}, as {taken[id]} has; give each photo once, and "
                "rename or leave out one of two with the same number."
            )
        taken[id] = photo


def _refuse_runs(photos: Iterable[str]) -> None:
    from miacap.errors import DataError
    from miacap.runs.overview import is_run

    for photo in photos:
        if photo and is_run(Path(photo)):
            raise DataError(f"{photo}: is a run; give it with --run.")


def _expand(argument: str) -> list[str]:
    from miacap.errors import DataError
    from miacap.tables.names import PHOTO_SUFFIXES
    from miacap.visual.formats import OTHER_SUFFIXES, why_unread
    from miacap.wording import first_names

    folder = Path(argument)
    if not argument or not folder.is_dir():  # "" would be the folder one stands in
        return [argument]
    photos: list[str] = []
    left_out: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*"), key=str):
        suffix = path.suffix.lower()
        if suffix not in (*PHOTO_SUFFIXES, *OTHER_SUFFIXES) or not path.is_file():
            continue
        reason = why_unread(suffix)
        (left_out.setdefault(reason, []) if reason else photos).append(str(path))
    for reason, files in left_out.items():
        terminal.tell(f"not read: {first_names(files, _LISTED)}: {reason}")
    if not photos:
        raise DataError(f"{argument}: no photos in this folder ({', '.join(PHOTO_SUFFIXES)}).")
    return photos
