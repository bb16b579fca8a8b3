"""`miacap runs`: what was trained here or is installed; `pack` stands behind it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
_SHA256 = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


class Form(StrEnum):
    """How runs are listed."""

    text = "text"
    jsonl = "jsonl"
    csv = "csv"


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = _USUAL,
    form: Annotated[
        Form, typer.Option("--format", help="text for people, jsonl and csv for programs.")
    ] = Form.text,
) -> None:
    """List run folders: captioner, source, state, and CIDEr-D on dev of the epoch that was kept.

    Epoch "5/8" is the fifth, kept, of eight evaluated. A run is "training" (a process
    is at work in it), "finished", "interrupted" (the command that began it goes on with
    it), "diverged" or "failed", "laid" (no step taken) or "damaged". Below stands, run
    by run, in which settings they differ, then which captioners are installed: they
    need no --run. jsonl and csv have all scores.
    """
    from miacap.cli.reporting import table
    from miacap.errors import RunError
    from miacap.runs.overview import differences, listing, overview

    folders = listing(folder) if folder.is_dir() else []
    names = _installed() if form is Form.text else []
    if not folders and names and folder == _USUAL:
        terminal.results("\n".join(names))
        return
    if not folders:
        raise RunError(
            f"{folder}: no run folders here; look in another folder with: miacap runs FOLDER, or "
            "make one with: miacap train"
        )
    overviews = [overview(run) for run in folders]
    rows = differences(overviews)
    if form is not Form.text:
        for line in _jsonl(overviews) if form is Form.jsonl else _csv(overviews, rows):
            terminal.result(line)
        return
    terminal.results(table([_row(run) for run in overviews]))
    broken = [_filled(run, f"{run.state}: {run.failure}") for run in overviews if run.failure]
    if broken:
        terminal.results("\n".join(["", *broken]))
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
    score = run.scores.get("CIDEr-D")
    return {
        "run": str(run.folder),
        "captioner": run.captioner,
        "source": run.source,
        "state": run.state,
        "epoch": "-" if run.epochs is None else f"{run.epoch or '-'}/{run.epochs}",
        "CIDEr-D": "-" if score is None else f"{score:.4f}",
    }


def _jsonl(overviews: Sequence["Overview"]) -> Iterator[str]:
    for run in overviews:
        yield terminal.json_text(
            {
                **_plain(run),
                "watched": run.watched,
                "scores": dict(run.scores),
                "failure": run.failure or None,
                "settings": dict(run.settings),
            }
        )


def _csv(overviews: Sequence["Overview"], rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Give a row for each run, with the scores and the settings in which runs differ."""
    from miacap.cli.reporting import csv_line

    scores = list(dict.fromkeys(name for run in overviews for name in run.scores))
    settings = list(dict.fromkeys(name for own in rows for name in own))
    yield csv_line([*_plain(overviews[0]), *scores, *settings])
    for run, own in zip(overviews, rows, strict=True):
        numbers = [run.scores.get(name) for name in scores]
        yield csv_line([*_plain(run).values(), *numbers, *(own.get(name) for name in settings)])


def _plain(run: "Overview") -> dict[str, Any]:
    return {
        "run": str(run.folder),
        "captioner": run.captioner,
        "source": run.source,
        "state": run.state,
        "epoch": run.epoch,
        "epochs": run.epochs,
    }


def _differing(run: "Overview", settings: Mapping[str, str]) -> str:
    told = {name: _SHA256.sub(r"\1...", value) for name, value in settings.items()}
    return _filled(run, "  ".join(f"{name}={value}" for name, value in told.items()) or "-")


def _filled(run: "Overview", told: str) -> str:
    from miacap.cli.reporting import paragraph

    return paragraph(told, f"{run.folder}: ")
