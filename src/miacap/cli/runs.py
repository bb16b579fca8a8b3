"""`miacap runs`: what was trained here."""

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
    (no epoch yet) or "damaged".
    """
    from miacap.cli.reporting import table
    from miacap.errors import RunError
    from miacap.runs.overview import listing, overview

    folders = listing(folder) if folder.is_dir() else []
    if not folders:
        raise RunError(
            f"{folder}: no run folders here; look in another folder with: miacap runs FOLDER, or "
            "make one with: miacap train"
        )
    terminal.results(table([_row(overview(run)) for run in folders]))


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
