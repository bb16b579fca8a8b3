"""A folder of concepts belongs to what it was begun with: settings and data."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from miacap import files
from miacap.errors import RunError
from miacap.files import read_json, write_json

Made = Literal["train", "read", "detect", "zero-shot", "join", "tune"]
"""By which command: one of `miacap concepts`, or `miacap tune`."""

_GOES_IN: Mapping[str, str] = {
    "train": "captions, splits or features",
    "read": "lists, captions or splits",
    "join": "sources, captions or splits",
    "zero-shot": "models, words, captions or splits",
    "detect": "detectors, words of classes, captions or splits",
    "tune": "weights, captions or splits",
}


def claim(folder: Path, made: Made, settings: Mapping[str, Any], fingerprint: str) -> None:
    """Begin a folder, or see that it was begun alike.

    Args:
        folder: made if absent.
        made: the command.
        settings: as JSON.
        fingerprint: checksum of all that goes in.

    Raises:
        RunError: it holds something else, or was begun with other settings or data.
    """
    now = {"format": 1, "data_sha256": fingerprint, "settings": dict(settings)}
    if made != "train":
        now["made"] = made  # folders of trained concepts never said so
    file = folder / "settings.json"
    if not file.is_file():
        files.claim(folder, "tuned backbone" if made == "tune" else "concept folder")
        write_json(file, now)
        return
    before = read_json(file)
    if not isinstance(before, dict) or before.get("format") != 1:
        raise RunError(f"{file}: not written by this version of miacap; choose a new folder.")
    if before.get("made", "train") != made:
        raise RunError(f"{folder}: holds what `{_command(before)}` made; choose another folder.")
    difference = _difference(_flat(before.get("settings")), _flat(settings))
    if difference is not None:
        name, was, is_now = difference
        raise RunError(
            f"{folder}: begun with {name}={was}, now {is_now}; choose another folder, or the same "
            "settings to go on."
        )
    if before.get("data_sha256") != fingerprint:
        what = _GOES_IN[made]
        raise RunError(f"{folder}: begun with other {what}; choose another folder.")


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Give name and both values of the first setting that differs; one side may lack it."""
    for name in dict.fromkeys([*before, *now]):
        if name not in before or name not in now or before[name] != now[name]:
            was, is_now = (repr(side[name]) if name in side else "absent" for side in (before, now))
            return name, was, is_now
    return None


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Give settings inside settings by their whole names, as `--set` has them."""
    if not isinstance(settings, Mapping):
        return {}
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            values |= _flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values


def for_checksum(record: Any) -> Any:
    """Give a record of features, as JSON, as it goes into a checksum.

    Without the precision that records from before there was a choice do not name: folders that
    were begun then go on.
    """
    if not isinstance(record, dict):
        return record
    later = ("precision", "float32")
    return {key: for_checksum(value) for key, value in record.items() if (key, value) != later}


def unfinished(folder: Path) -> str | None:
    """Give the command to finish a folder with, or None where it is finished, or no such folder.

    A folder with no settings at all was made by other means and counts as finished.
    """
    if not (folder / "settings.json").is_file() or (folder / "report.json").is_file():
        return None
    before = read_json(folder / "settings.json")
    return _command(before if isinstance(before, dict) else {})


def _command(settings: Mapping[str, Any]) -> str:
    made = settings.get("made", "train")
    return "miacap tune" if made == "tune" else f"miacap concepts {made}"


def finished(path: Path) -> dict[str, Any] | None:
    """Give the report of a folder where all is done, or None."""
    if not (path / "report.json").is_file():
        return None
    shutil.rmtree(path / "fits", ignore_errors=True)  # killed before this was done
    found: dict[str, Any] = read_json(path / "report.json")
    return found


def finish(path: Path, report: dict[str, Any]) -> None:
    """Write the report of a folder, the last of its files, and remove what training needed."""
    write_json(path / "report.json", report)
    shutil.rmtree(path / "fits", ignore_errors=True)
