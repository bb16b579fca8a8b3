"""`miacap runs`: what was trained here."""

from pathlib import Path
from typing import Annotated

import typer

from miacap import terminal


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("runs"),
) -> None:
    """List run folders with their captioner, source and best dev CIDEr-D."""
    from miacap.cli.reporting import table
    from miacap.errors import RunError
    from miacap.runs import listing

    found = listing(folder) if folder.is_dir() else []
    if not found:
        raise RunError(
            f"{folder}: no run folders here; look in another folder with: miacap runs FOLDER, or "
            "make one with: miacap train"
        )
    terminal.results(table([_row(run) for run in found]))


def _row(run: Path) -> dict[str, str]:
    """Say what a run is; "damaged" where its files cannot tell."""
    import json

    from miacap.errors import DataError
    from miacap.files import read_json

    row = dict.fromkeys(("run", "captioner", "source", "evaluations", "CIDEr-D"), "-")
    row["run"] = str(run)
    try:
        settings = read_json(run / "settings.json")
        row |= {"captioner": str(settings["captioner"]), "source": str(settings["source"])}
        log = run / "metrics.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        found = [float(json.loads(line).get("CIDEr-D", 0.0)) for line in lines]
    except (DataError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return row | {"evaluations": "damaged"}
    row["evaluations"] = str(len(found))
    return row | ({"CIDEr-D": f"{max(found):.4f}"} if found else {})
