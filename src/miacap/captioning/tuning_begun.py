"""What the tuning of a captioner was begun with, in a file of its folder."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from miacap.concepts import ConceptFolder
from miacap.data import Dataset
from miacap.errors import RunError, SettingsError
from miacap.files import read_json, write_json
from miacap.runs import RunSettings, Start
from miacap.settings import first_difference, from_json, to_json

_AGAIN = "give the same again to go on"


def begin_with(
    file: Path, settings: RunSettings, dataset: Dataset, concepts: ConceptFolder | None
) -> None:
    """Write down what a training is begun with, or see that it was begun alike.

    Raises:
        RunError: it was begun with something else, and with what.
    """
    rows = [[e.id, e.split, list(e.captions)] for e in dataset.pictures]
    text = json.dumps([rows, concepts.source.checksum if concepts else None])
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    tree = to_json(settings)
    # Settings of the training are compared by the training itself, which lets some of them grow.
    training = tree.pop("training")
    now = {"format": 1, "data_sha256": digest, "settings": tree}
    if not file.is_file():
        write_json(file, {**now, "training": training})
        return
    before, began = _begun(file)
    if began.same(settings.start):
        tree["start"] = to_json(began)  # its folder may have a new name
    before.pop("training", None)
    if before != now:
        what, advice = _other(before, now)
        raise RunError(
            f"{file.parent.parent}: begun with {what}; choose another folder, or {advice}."
        )


def keep_training(file: Path, settings: RunSettings) -> None:
    """Write down with which settings a training went on, once it has accepted them."""
    before, _ = _begun(file)
    now = {**before, "training": to_json(settings.training)}
    if before != now:
        write_json(file, now)


def _begun(file: Path) -> tuple[dict[str, Any], Start]:
    """Read what a training was begun with, and which run. Raises RunError where it cannot be."""
    before = read_json(file)
    try:
        start = from_json(Start, before["settings"]["start"], str(file))
    except (KeyError, TypeError, ValueError, SettingsError):
        raise RunError(
            f"{file}: damaged; delete the folder {file.parent} to train from the start, or choose "
            "another folder."
        ) from None
    try:
        settings = from_json(RunSettings, before["settings"], str(file))
    except SettingsError as error:  # of a newer version, for one: no reason to delete anything
        raise RunError(
            f"{error} Go on with the version of miacap that began it, or choose another folder."
        ) from None
    tree = to_json(settings)  # with settings that came later, as they are unless told
    del tree["training"]
    return {**before, "settings": tree}, start


def _other(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str]:
    """Say what a training was begun with and is not given now, and how to go on."""
    old, new = before["settings"], now["settings"]
    if old["start"] != new["start"]:
        return f"another run ({old['start']['run']}, or other weights of it)", _AGAIN
    difference = first_difference(old, new)
    if difference is None:
        return "other captions or concepts", _AGAIN
    return str(difference), difference.advice
