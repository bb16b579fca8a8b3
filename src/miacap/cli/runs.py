"""`miacap runs`: what was trained here, and what is installed; `pack` stands behind it."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.help import Verb, with_further
from miacap.cli.runs_pack import pack

if TYPE_CHECKING:
    from miacap.runs.overview import Overview

_packing = typer.Typer(add_completion=False, rich_markup_mode=None)
_packing.command("pack", cls=Verb, short_help="Make a finished run small for shipping.")(pack)

Runs = with_further("To make one small: miacap runs pack RUN -o FOLDER", pack=_packing)
"""`runs FOLDER` lists; `runs pack RUN` packs one."""

_USUAL = Path("runs")


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = _USUAL,
) -> None:
    """List run folders: captioner, source, state, and dev scores of the epoch that was kept.

    A run is "finished", "unfinished" (the command that began it goes on with it), "untrained"
    (no epoch yet) or "damaged". Below stands, run by run, in which settings they differ, then
    which captioners are installed: they need no --run.
    """
    from miacap.cli.reporting import table
    from miacap.errors import RunError
    from miacap.runs.overview import differences, listing, overview

    folders = listing(folder) if folder.is_dir() else []
    names = _installed()
    if not folders and names and folder == _USUAL:
        terminal.results("\n".join(names))
        return
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
    if names:
        terminal.results("\n".join(["", *names]))


def _installed() -> list[str]:
    """Give the lines on the captioners that are installed; none where there are none."""
    from miacap.errors import MiacapError
    from miacap.runs import installed
    from miacap.runs.overview import overview

    lines = []
    for one in installed():
        try:
            seen = overview(one.folder)
            told = f"{seen.captioner}, {seen.source}"
            if "CIDEr-D" in seen.scores:
                told += f", dev CIDEr-D {seen.scores['CIDEr-D']:.4f}"
        except MiacapError:
            told = "not whole, install it again"
        lines.append(terminal.escape(f"  {one.name} {one.version}: {told}"))
    return ["installed", *lines] if lines else []


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
