"""`miacap runs`: what was trained here."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal

if TYPE_CHECKING:
    from miacap.runs.overview import Overview


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("runs"),
) -> None:
    """List run folders: captioner, source, state, and dev scores of the epoch that was kept.

    A run is "finished", "unfinished" (the command that began it goes on with it), "untrained"
    (no epoch yet) or "damaged". Below stands, run by run, in which settings they differ.
    """
    from miacap.cli.reporting import table
    from miacap.errors import RunError
    from miacap.runs.overview import differences, listing, overview

    folders = listing(folder) if folder.is_dir() else []
    if not folders:
        raise RunError(
            f"{folder}: no run folders here; look in another folder with: miacap runs FOLDER, or "
            "make one with: miacap train"
        )
    overviews = [overview(run) for run in folders]
    terminal.results(table([_row(run) for run in overviews]))
    rows = differences(overviews)
    if any(rows):
        told = [_differing(run, own) for run, own in zip(overviews, rows, strict=True)]
        terminal.results("\n".join(["", "settings in which they differ", *told]))


def _row(run: "Overview") -> dict[str, str]:
    scores = {name: run.scores.get(name) for name in ("BLEU-4", "CIDEr-D")}
    return {
        "run": str(run.folder),
        "captioner": run.captioner,
        "source": run.source,
        "state": run.state,
        "epoch": "-" if run.epoch is None else str(run.epoch),
        **{name: "-" if value is None else f"{value:.4f}" for name, value in scores.items()},
    }


def _differing(run: "Overview", settings: dict[str, str]) -> str:
    told = "  ".join(f"{name}={value}" for name, value in settings.items())
    return textwrap.fill(
        terminal.escape(told) or "-",
        width=80,
        initial_indent=f"{terminal.escape(str(run.folder))}: ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
