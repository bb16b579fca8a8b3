"""`miacap caption`: photos in, sentences out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from miacap import terminal
from miacap.cli.options import Device, LengthPenalty, Quiet

_SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Form(StrEnum):
    """How captions are printed."""

    text = "text"
    jsonl = "jsonl"


def caption(
    photo: Annotated[list[str], typer.Argument(help="Photos, or folders of photos.")],
    run: Annotated[
        list[Path],
        typer.Option("--run", help="A trained run folder; several are averaged word by word."),
    ],
    form: Annotated[Form, typer.Option("--format", help="text for people, jsonl for programs.")] = (
        Form.text
    ),
    beam: Annotated[
        int | None, typer.Option(help="Hypotheses; the run's own by default.", min=1)
    ] = None,
    length_penalty: LengthPenalty = None,
    batch_size: Annotated[int, typer.Option(help="Photos at a time.", min=1)] = 16,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Caption photos with a trained run, or with several as an ensemble.

    jsonl prints {"id", "caption", "log_probability"} or {"id", "error"} for each
    photo, in the order given. Exit code 1 if nothing was captioned.

    Example: miacap caption photo.jpg --run runs/combined

    An ensemble: miacap caption photo.jpg --run runs/a --run runs/b
    """
    from miacap import captioning
    from miacap.progress import Progress

    photos = [path for argument in photo for path in _expand(argument)]
    pipeline = captioning.load(
        run, beam=beam, length_penalty=length_penalty, batch_size=batch_size, device=device
    )
    captioned = 0
    # One photo needs no progress; a folder does.
    with Progress("captioning", len(photos), "photos", quiet or len(photos) < 20) as progress:
        for row in pipeline.rows(photos):
            progress.advance()
            captioned += row.caption is not None
            if form is Form.jsonl:
                terminal.result(terminal.json_text(row.to_json()))
            elif row.error is not None:
                terminal.tell(f"miacap: {row.error}")
            else:
                terminal.result(*([] if len(photos) == 1 else [row.id]), row.caption)
    if not captioned:
        raise typer.Exit(1)


def _expand(argument: str) -> list[str]:
    from miacap.errors import DataError

    folder = Path(argument)
    if not argument or not folder.is_dir():  # "" would be the folder one stands in
        return [argument]
    photos = (p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    found = sorted(map(str, photos))
    if not found:
        raise DataError(f"{argument}: no photos in this folder ({', '.join(_SUFFIXES)}).")
    return found
