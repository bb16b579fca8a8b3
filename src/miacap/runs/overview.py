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
from miacap.locks import is_held
from miacap.runs.objectives import WATCHED
from miacap.training.failures import failure
from miacap.training.state import watched

__all__ = ["Overview", "differences", "is_run", "listing", "near", "overview"]

TUNING, BEGUN = "tuning", "begun.json"
"""Where a captioner that learns with its backbone has its training, and what it was begun with."""

BEGAN_WITH = "began-with"
"""Folder, among the checkpoints, of a copy of the run that a training begins with."""

_LOOKED_AT = 1000
"""Folders among which a misspelt run is sought, at most."""


def listing(root: str | os.PathLike[str]) -> list[Path]:
    """Give the run folders at or below `root`, by name.

    A captioner that is tuned with its backbone counts from its beginning, though its folder is a
    run at the end alone.
    """
    settings = {path.parent for path in Path(root).rglob("settings.json")}
    tuned = {path.parent.parent for path in Path(root).rglob(f"{TUNING}/{BEGUN}")}
    kept = {path for path in settings if path.parent.name != BEGAN_WITH and is_run(path)}
    return sorted(kept | tuned)


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
    """training (a process holds its lock), finished, diverged, failed, interrupted, laid (no step
    that could be gone on from) or damaged."""
    evaluations: int = 0
    epoch: int | None = None
    """The epoch whose weights were kept: the best on dev by `watched`."""
    epochs: int | None = None
    """The epoch that was evaluated last."""
    watched: str = WATCHED
    """The score that the epoch was chosen by."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Dev scores of the kept epoch."""
    failure: str = ""
    """What was said when it diverged or failed."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Every setting as `--set` takes it, `training.epochs` -> "12"."""


def overview(folder: Path) -> Overview:
    """Look at a run folder, in training or not; one whose files cannot tell is "damaged"."""
    begun = (folder / TUNING / BEGUN).is_file()  # then it may have gone on since it was a run
    work = folder / TUNING if begun else folder
    try:
        settings = _tuned_settings(folder) if begun else read_json(folder / "settings.json")
        captioner, source = str(settings["captioner"]), str(settings["source"])
    except (DataError, KeyError, TypeError, AttributeError):
        return Overview(folder)
    chosen = _flat(settings)
    try:
        log = work / "metrics.jsonl"
        rows = read_json_lines(log) if log.exists() else []
        name, sign = watched(str(settings.get("training", {}).get("watch", "")), WATCHED)
        assert name is not None
        scored = [row for row in rows if name in row]
        best = max(scored, key=lambda row: sign * float(row[name]), default=None)
        epoch = None if best is None else int(best["epoch"])
        scores = {} if best is None else _scores(best, name)
        epochs = int(rows[-1]["epoch"]) if rows else None
        state, said = _state(folder, work, rows)
    except (DataError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Overview(folder, captioner, source, settings=chosen)
    return Overview(
        folder, captioner, source, state, len(rows), epoch, epochs, name, scores, said, chosen
    )


def recorded(folder: Path) -> Any:
    """Give the settings with which a training was begun, as JSON; None where none was.

    Those of a captioner that is tuned with its backbone lack `training` where an older version
    began it. Raises DataError where they cannot be read.
    """
    if (folder / TUNING / BEGUN).is_file():
        begun = read_json(folder / TUNING / BEGUN)
        settings = begun.get("settings") if isinstance(begun, dict) else None
    elif (folder / "settings.json").is_file():
        settings = read_json(folder / "settings.json")
    else:
        return None
    if not isinstance(settings, dict):
        raise DataError(f"{folder}: no settings of a training; choose another folder.")
    return settings


def _tuned_settings(folder: Path) -> Any:
    """Give the settings of a captioner that is tuned with its backbone, those of training too."""
    begun = read_json(folder / TUNING / BEGUN)
    settings, training = begun["settings"], begun.get("training")
    if training is None and is_run(folder):  # begun by a version that did not write it there
        training = read_json(folder / "settings.json").get("training")
    return settings if training is None else {**settings, "training": training}


def _state(folder: Path, work: Path, rows: Sequence[Any]) -> tuple[str, str]:
    """Give the state of a run with these evaluations, and what it failed of."""
    if is_held(folder / ".lock"):
        return "training", ""
    checkpoints = work / "checkpoints"
    broken = failure(checkpoints)
    if broken is not None:
        return broken
    step = int(rows[-1].get("step", 0)) if rows else 0
    if (folder / "README.md").is_file() and _finished_at(folder, step) >= step:
        return "finished", ""
    begun = rows or next(checkpoints.glob("step-*.json"), None) is not None
    return ("interrupted" if begun else "laid"), ""


def _finished_at(folder: Path, step: int) -> int:
    """Give the steps after which a run was finished; `step` where dev.json does not say it."""
    file = folder / "dev.json"
    return int(read_json(file)["step"]) if file.is_file() else step


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


def _scores(row: Mapping[str, Any], watched: str) -> dict[str, float]:
    names = dict.fromkeys(("BLEU-4", "CIDEr-D", watched))
    return {name: float(row[name]) for name in names if name in row}
