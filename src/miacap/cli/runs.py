"""`miacap runs`: what was trained here."""

from pathlib import Path
from typing import Annotated

import typer


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("runs"),
) -> None:
    """List run folders with their captioner, source and best dev CIDEr-D."""
    import json

    from miacap.cli.reporting import table
    from miacap.errors import RunError
    from miacap.files import read_json
    from miacap.runs import listing

    found = listing(folder) if folder.is_dir() else []
    if not found:
        raise RunError(
            f"{folder}: no run folders here; look in another folder with: miacap runs FOLDER, or "
            "make one with: miacap train"
        )
    rows = []
    for run in found:
        settings = read_json(run / "settings.json")
        lines = _lines(run / "metrics.jsonl")
        best = max((json.loads(line).get("CIDEr-D", 0.0) for line in lines), default=None)
        rows.append(
            {
                "run": str(run),
                "captioner": str(settings["captioner"]),
                "source": str(settings["source"]),
                "evaluations": str(len(lines)),
                "CIDEr-D": "-" if best is None else f"{best:.4f}",
            }
        )
    typer.echo(table(rows))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
