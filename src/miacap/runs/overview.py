"""What runs there are and how far they came; reads text alone and needs no torch."""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from miacap.errors import DataError
from miacap.files import read_json, read_json_lines
from miacap.runs.objectives import WATCHED
from miacap.training.state import watched

__all__ = ["Overview", "differences", "is_run", "listing", "near", "overview"]

_LOOKED_AT = 1000
"""Folders among which a misspelt run is sought, at most."""


def listing(root: str | os.PathLike[str]) -> list[Path]:
    """Give the run folders at or below `root`, by name."""
    settings = Path(root).rglob("settings.json")
    return sorted(path.parent for path in settings if is_run(path.parent))


def near(folder: str | os.PathLike[str]) -> str:
    """Say " Did you mean 'runs/combined'?" for the run beside a folder that is none, or nothing."""
    beside = Path(folder).parent
    try:
        names = sorted(item.name for item in beside.iterdir())[:_LOOKED_AT]
    except OSError:
        return ""
    runs = [name for name in names if is_run(beside / name)]
    close = difflib.get_close_matches(Path(folder).name, runs, n=1)
    return f" Did you mean {str(beside / close[0])!r}?" if close else ""


def is_run(folder: Path) -> bool:
    """Whether a folder is a run, by its files."""
    return (folder / "settings.json").is_file() and (folder / "vocabulary.json").exists()


@dataclass(frozen=True)
class Overview:
    """One run at a glance."""

    folder: Path
    captioner: str = "-"
    source: str = "-"
    state: str = "damaged"
    """finished, unfinished (no card yet), untrained (no epoch yet) or damaged."""
    evaluations: int = 0
    epoch: int | None = None
    """The epoch whose weights were kept: the best on dev by what was watched, CIDEr-D mostly."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Dev scores of that epoch."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Every setting as `--set` takes it, `training.epochs` -> "12"."""


def overview(folder: Path) -> Overview:
    """Look at a run folder; one whose files cannot tell is "damaged"."""
    try:
        settings = read_json(folder / "settings.json")
        captioner, source = str(settings["captioner"]), str(settings["source"])
    except (DataError, KeyError, TypeError):
        return Overview(folder)
    chosen = _flat(settings)
    try:
        log = folder / "metrics.jsonl"
        rows = read_json_lines(log) if log.exists() else []
        name, sign = watched(str(settings.get("training", {}).get("watch", "")), WATCHED)
        scored = [row for row in rows if name in row]
        best = max(scored, key=lambda row: sign * float(row[name]), default=None)
        epoch = None if best is None else int(best["epoch"])
        scores = {} if best is None else _scores(best)
    except (DataError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Overview(folder, captioner, source, settings=chosen)
    state = "finished" if (folder / "README.md").is_file() else "unfinished"
    if not rows:
        state = "untrained"
    return Overview(folder, captioner, source, state, len(rows), epoch, scores, chosen)


def differences(overviews: Sequence[Overview]) -> list[dict[str, str]]:
    """Give each run's settings in which the runs differ, captioner and source left out.

    A setting that a run does not have (another captioner's) is left out of its own.
    """
    known = [overview.settings for overview in overviews if overview.settings]
    names = dict.fromkeys(name for settings in known for name in settings)
    shown = ("captioner", "source")
    differing = [
        name
        for name in names
        if name not in shown and len({settings.get(name) for settings in known}) > 1
    ]
    return [
        {name: overview.settings[name] for name in differing if name in overview.settings}
        for overview in overviews
    ]


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Give the leaves of a tree of settings by their dotted names, as JSON or plain text."""
    if isinstance(value, dict) and value:
        return {
            key: leaf
            for part, below in value.items()
            for key, leaf in _flat(below, f"{name}.{part}" if name else str(part)).items()
        }
    return {name: value if isinstance(value, str) else json.dumps(value)}


def _scores(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(row[name]) for name in ("BLEU-4", "CIDEr-D") if name in row}
