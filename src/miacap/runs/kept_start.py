"""The run that a training begins with, copied into the folder of that training.

A training of days outlives the folder that it began with. What the copy holds is what the same
command needs to go on: settings, words, how features are made, concepts, weights and a tuned
backbone. It lies among the checkpoints, in `began-with/` under the run's own name, and goes with
them. `names.json` in it has the names by which the run was given, which a link makes others.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from miacap.errors import RunError
from miacap.files import atomic, read_json, sha256, subfolder, write_json
from miacap.runs.card import CARD
from miacap.runs.folder import CARRIED_FILES, Run, load
from miacap.runs.overview import BEGAN_WITH, TUNING, is_run
from miacap.runs.pretrained import chosen, name_of

__all__ = ["keep_start", "load_start"]

_NAMES = "names.json"
_FILES = ("vocabulary.json", "preprocessing.json", "data.json", "weights.safetensors", CARD)


def load_start(run: str | os.PathLike[str], training: str | os.PathLike[str]) -> Run:
    """Load the run that a training begins with; where it is gone, the copy that was kept.

    Args:
        run: its folder, or an installed captioner by its name where there is no such folder.
        training: the folder of the new run, begun before or not.

    Raises:
        RunError: the run is not there, and no copy of it either; or it cannot be read.
    """
    places = _places(Path(training))
    (run,) = chosen(run)
    if not is_run(Path(run)):
        name = _typed(run)
        for copy in sorted(_copies(places), key=lambda copy: copy.name != name):
            if copy.name == name or name in _names(copy):
                return load(copy)
    try:
        return load(run)
    except RunError as error:
        if is_run(Path(run)) or not any(place.is_dir() for place in places):
            raise
        raise RunError(
            f"{error} {training} was begun and holds no copy of a run of that name: put {run} back "
            "to go on, or choose another folder."
        ) from None


def keep_start(start: Run, training: Path) -> None:
    """Copy the run that a training begins with, unless it is there.

    Args:
        start: the run; a copy itself where its folder is gone.
        training: the folder whose `checkpoints/` gets it.

    Raises:
        RunError: a link is in the way; nothing is written or removed through one.
    """
    name, typed = name_of(start.folder.resolve()), name_of(start.folder)
    if (training / "checkpoints" / BEGAN_WITH / name).resolve() == start.folder.resolve():
        return
    target = subfolder(subfolder(subfolder(training, "checkpoints"), BEGAN_WITH), name)
    whole = _whole(target, start)
    if not whole:
        for file in ("settings.json", _NAMES):
            (target / file).unlink(missing_ok=True)
    known = _names(target)
    if typed not in (name, *known):
        write_json(target / _NAMES, sorted([*known, typed]))
    if not whole:
        _copy(start.folder, target)


def _copy(source: Path, target: Path) -> None:
    names = [name for name in (*_FILES, *CARRIED_FILES) if (source / name).is_file()]
    for name in (*names, "settings.json"):  # last: now it is a run
        with open(source / name, "rb") as file, atomic(target / name) as out:
            shutil.copyfileobj(file, out, 1 << 20)


def _names(copy: Path) -> list[str]:
    """Give the further names of the run that a copy is of. Raises RunError where they are none."""
    file = copy / _NAMES
    names = read_json(file) if file.is_file() else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RunError(f"{file}: no list of names; delete it, or put the run back to go on.")
    return names


def _typed(run: str | os.PathLike[str]) -> str:
    """Give the name of a folder as it was given, links not followed."""
    return Path(os.path.abspath(run)).name


def _places(training: Path) -> list[Path]:
    """Give where a training may have its checkpoints: that of `train`, that of `tune`."""
    return [training / "checkpoints", training / TUNING / "checkpoints"]


def _copies(places: Sequence[Path]) -> list[Path]:
    """Give the copies that lie in these places."""
    return [
        path for place in places for path in sorted(place.glob(f"{BEGAN_WITH}/*")) if is_run(path)
    ]


def _whole(copy: Path, start: Run) -> bool:
    weights = "weights.safetensors"
    return is_run(copy) and sha256(copy / weights) == sha256(start.folder / weights)
