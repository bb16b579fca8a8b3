"""`miacap serve`: a page to try a run, and the same as JSON."""

from pathlib import Path
from typing import Annotated

import typer

from miacap import terminal
from miacap.cli.options import Beam, Device, Download, LengthPenalty, Weights


def serve(
    run: Annotated[
        list[Path] | None,
        typer.Option(
            "--run",
            help="A trained run folder, or an installed captioner's name; several are averaged "
            "word by word. The installed captioner by default.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 8000,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Any but this machine's own lets other machines send photos."
        ),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="Name under which people open the page, where a server with TLS stands before it."
        ),
    ] = None,
    beam: Beam = None,
    length_penalty: LengthPenalty = None,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
) -> None:
    """Serve a page on this machine: drop a photo, see its caption and why.

    Prints the page's address; programs send photos to /v1/caption, /docs says how.
    Nothing is written. Ctrl-C ends it. Needs the extra [serve].

    Example: miacap serve

    With a run of yours: miacap serve --run runs/combined
    """
    from miacap import captioning
    from miacap.cli.chosen import chosen_runs
    from miacap.memory import keep_freed
    from miacap.serving import serve as until_interrupted

    folders = chosen_runs(run, "the page needs")
    keep_freed()
    for folder in folders:
        if said := captioning.doubt(folder):
            terminal.tell(f"warning: {folder}: {said}")
    until_interrupted(
        folders, port=port, host=host, names=name or (), beam=beam,
        length_penalty=length_penalty, device=device, weights=weights or (),
        allow_download=download,
    )  # fmt: skip
