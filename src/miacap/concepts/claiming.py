"""A folder of concepts belongs to what it was begun with: settings and data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from miacap.errors import RunError
from miacap.files import read_json, strangers, write_json

Made = Literal["train", "read"]
"""By which command: ``miacap concepts train`` or ``miacap concepts read``."""


def claim(place: Path, made: Made, settings: Mapping[str, Any], fingerprint: str) -> None:
    """Begin a folder, or see that it was begun alike.

    Args:
        place: the folder; made if absent.
        made: the command.
        settings: as JSON.
        fingerprint: checksum of all that goes in.

    Raises:
        RunError: it holds something else, or was begun with other settings or data.
    """
    now = {"format": 1, "data_sha256": fingerprint, "settings": dict(settings)}
    if made != "train":
        now["made"] = made  # folders of trained concepts never said so
    file = place / "settings.json"
    if not file.is_file():
        if strangers(place):
            raise RunError(f"{place}: holds something else; choose an empty or new folder.")
        write_json(file, now)
        return
    before = read_json(file)
    if not isinstance(before, dict) or before.get("format") != 1:
        raise RunError(f"{file}: not written by this version of miacap; choose a new folder.")
    if before.get("made", "train") != made:
        raise RunError(
            f"{place}: holds concepts of `miacap concepts {before.get('made', 'train')}`; choose "
            "another folder."
        )
    for name, value in settings.items():
        if before["settings"].get(name) != value:
            raise RunError(
                f"{place}: begun with {name}={before['settings'].get(name)!r}, now {value!r}; "
                "choose another folder, or the same settings to go on."
            )
    if before["data_sha256"] != fingerprint:
        what = "captions, splits or features" if made == "train" else "lists, captions or splits"
        raise RunError(f"{place}: begun with other {what}; choose another folder.")


def unfinished(place: Path) -> str | None:
    """Give the command to finish a folder with, or None where it is finished, or no such folder.

    A folder with no settings at all was made by other means and counts as finished.
    """
    if not (place / "settings.json").is_file() or (place / "report.json").is_file():
        return None
    before = read_json(place / "settings.json")
    made = before.get("made", "train") if isinstance(before, dict) else "train"
    return f"miacap concepts {made}"
