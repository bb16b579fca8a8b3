"""A folder of concepts belongs to what it was begun with: settings and data."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from miacap import files
from miacap.data.later import LATER, without
from miacap.errors import RunError
from miacap.files import read_json, write_json
from miacap.settings import to_json

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


def claim(folder: Path, made: Made, settings: Any, *fingerprints: str) -> None:
    """Begin a folder, or see that it was begun alike.

    A setting that came later than the folder is taken to have been as it is where nobody asks for
    it. One that there was and is no more keeps nobody from a finished folder.

    Args:
        folder: made if absent.
        made: the command.
        settings: its settings.
        fingerprints: checksum of all that goes in; then, where there were any, the ones that
            earlier versions took of the same.

    Raises:
        RunError: it holds something else, or was begun with other settings or data.
    """
    now = {"format": 1, "data_sha256": fingerprints[0], "settings": to_json(settings)}
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
    _check_settings(folder, before.get("settings"), settings)
    if before.get("data_sha256") not in fingerprints:
        what = _GOES_IN[made]
        raise RunError(f"{folder}: begun with other {what}; choose another folder.")


def _check_settings(folder: Path, before: Any, settings: Any) -> None:
    """Refuse other settings than those that a folder was begun with."""
    was, now, usual = _flat(before), _flat(to_json(settings)), _flat(to_json(type(settings)()))
    for name in dict.fromkeys([*was, *now]):
        if name not in now:
            if unfinished(folder) is None:
                continue
            raise RunError(
                f"{folder}: begun with {name}={was[name]!r}, which this version of miacap does not "
                "have; finish it with the version that began it, or choose another folder."
            )
        if (value := was.get(name, usual.get(name))) != now[name]:
            raise RunError(
                f"{folder}: begun with {name}={value!r}, now {now[name]!r}; choose another folder, "
                "or the same settings to go on."
            )


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


_ONCE = ("precision",)
"""What came later into records of features, and went into checksums for a time."""


def spellings(record: Any) -> list[Any]:
    """Give a record of features, as JSON, as it goes into a checksum, and as it once went.

    First without all that came later: folders that were begun before then go on, and in the end
    those that were begun while some of it went in.
    """
    now, once = without(record, LATER), without(record, LATER.keys() - {*_ONCE})
    return [now] if now == once else [now, once]


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
