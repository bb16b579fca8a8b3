"""`miacap caption`: photos in, sentences out."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miacap import terminal
from miacap.cli.caption_forms import Form, image_id, laid_out
from miacap.cli.options import Beam, Device, Download, LengthPenalty, Quiet, Weights
from miacap.cli.outputs import check_outputs
from miacap.wording import by_number, part

if TYPE_CHECKING:
    from miacap.captioning import Row

_LISTED = 3
_LIMIT = 125
"""As `captioning.alt_text.LIMIT`, which needs torch."""


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
    beam: Beam = None,
    length_penalty: LengthPenalty = None,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores", help="Tell how probable each caption is, and how often such are wrong."
        ),
    ] = False,
    best: Annotated[
        int, typer.Option(help="Captions of each photo: its own, and the best others.", min=1)
    ] = 1,
    alt: Annotated[
        bool, typer.Option("--alt", help="Alternative texts: short, and no 'a photo of'.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(help="Most characters of an alternative text; 125 by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Photos at a time.", min=1)] = 16,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
    quiet: Quiet = False,
) -> None:
    """Caption photos with the installed captioner, a trained run, or an ensemble of several.

    jsonl prints {"id", "caption", "log_probability"} or {"id", "error"} for each photo,
    in the order given; csv has these four columns; coco is a list of {"image_id",
    "caption"}. With --scores a caption comes with its log-probability per word and the
    share of such captions that people would call wrong, where the run is calibrated;
    jsonl then has each word's too. Exit code 1 if nothing was captioned, or all captions are empty.

    Example: miacap caption photo.jpg

    With a run of yours: miacap caption photo.jpg --run runs/combined

    An ensemble: miacap caption photo.jpg --run runs/a --run runs/b

    Alternative texts: miacap caption photos --run runs/a --alt --limit 100
    """
    from miacap import captioning
    from miacap.cli.chosen import chosen_runs
    from miacap.memory import keep_freed
    from miacap.progress import Progress

    _check_asked(form, scores, best, alt, limit)
    _refuse_runs(photo)
    folders = chosen_runs(run)
    photos = [path for argument in photo for path in _expand(argument)]
    check_outputs([output], inputs=map(Path, photos), folders=folders)
    if form is Form.coco:
        _require_unique_ids(photos)
    from miacap.training.processes import join  # loads torch: behind what may be refused

    sharing = join(device)
    keep_freed()
    characters = _LIMIT if limit is None else limit
    pipeline = captioning.load(
        folders, beam=beam, length_penalty=length_penalty, batch_size=batch_size,
        device=sharing.device(device), weights=weights or (), allow_download=download,
        best=best if scores or best > 1 else 0, alt_text=characters if alt else None,
    )  # fmt: skip
    for folder in folders:
        if said := captioning.doubt(folder):
            terminal.tell(f"warning: {folder}: {said}")
    if (scores or alt) and (why := pipeline.why_uncalibrated()):
        terminal.tell(
            f"note: {why}: nothing says which captions are probably wrong "
            "(docs/confidence.md says how to calibrate)."
        )
    counts = {"captioned": 0, "empty": 0, "out of depth": 0}
    # One photo needs no progress; a folder does.
    with Progress("captioning", len(photos), "photos", quiet or len(photos) < 20) as progress:
        rows = _counted(pipeline.rows(photos, sharing=sharing), progress, counts)
        if not sharing.main:
            list(rows)  # none is left here: the main process has them
            return
        _write(laid_out(rows, form, len(photos) == 1, scores), form, output)
    _tell(counts)
    if counts["captioned"] == counts["empty"]:
        raise typer.Exit(1)


def _tell(counts: dict[str, int]) -> None:
    """Say on standard error which of the captions are not to be trusted."""
    if counts["empty"]:
        terminal.tell(
            f"warning: {part(counts['empty'], counts['captioned'], 'caption', 'is', 'are')} empty; "
            "try a smaller --beam, or train longer."
        )
    if counts["out of depth"]:
        terminal.tell(f"warning: {_out_of_depth(counts['out of depth'], counts['captioned'])}")


def _out_of_depth(number: int, captioned: int) -> str:
    """Say that photos are unlike those that the run was calibrated on."""
    from miacap.runs import Confidence

    if captioned == 1:
        said = Confidence(None, unsure=True, out_of_depth=True).sentence
        return said[:1].lower() + said[1:]
    many = part(number, captioned, "photo", "is", "are")
    return (
        f"{many} unlike those that the run was calibrated on: how far to trust "
        f"{by_number(number, 'its caption', 'their captions')} is not known (--scores tells which)."
    )


def _counted(rows: Iterable["Row"], progress: Any, counts: dict[str, int]) -> Iterator["Row"]:
    for row in rows:
        progress.advance()
        counts["captioned"] += row.caption is not None
        counts["empty"] += row.caption == ""
        counts["out of depth"] += row.confidence is not None and row.confidence.out_of_depth
        yield row


def _check_asked(form: Form, scores: bool, best: int, alt: bool, limit: int | None) -> None:
    """Refuse what a form has no room for, and a limit without what it limits."""
    if best > 1 and form in (Form.csv, Form.coco):
        raise typer.BadParameter(
            f"{form} has one caption a photo; take --format jsonl or text.", param_hint="'--best'"
        )
    if scores and form is Form.coco:
        raise typer.BadParameter(
            "coco has no place for them; take --format jsonl, csv or text.",
            param_hint="'--scores'",
        )
    if limit is not None and not alt:
        raise typer.BadParameter("limits alternative texts; add --alt.", param_hint="'--limit'")


def _write(lines: Iterable[list[str]], form: Form, output: Path | None) -> None:
    """Write lines to a file, exactly, or to standard output, as a terminal may be shown them."""
    from miacap.files import output as opened

    with contextlib.ExitStack() as stack:
        file = None if output is None else stack.enter_context(opened(output))
        for columns in lines:
            if file is None:
                terminal.result(*columns)
            else:
                cells = map(terminal.escape, columns) if form is Form.text else columns
                file.write("\t".join(cells) + "\n")


def _require_unique_ids(photos: Iterable[str]) -> None:
    from miacap.errors import DataError

    taken: dict[int | str, str] = {}
    for photo in photos:
        id = image_id(photo)
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
