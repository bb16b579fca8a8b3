"""The run that a training begins with, copied into the folder of that training.

A training of days outlives the folder that it began with. What the copy holds is what the same
command needs to go on: settings, words, how features are made, concepts, weights and a tuned
backbone. It lies among the checkpoints, in `began-with/` under the run's own name, and goes with
them.
"""

import os
import shutil
from pathlib import Path

from miacap.errors import RunError
from miacap.files import atomic, folder, sha256
from miacap.runs.card import CARD
from miacap.runs.folder import CARRIED_FILES, Run, load
from miacap.runs.overview import BEGAN_WITH, is_run

__all__ = ["keep_start", "load_start"]

_FILES = ("vocabulary.json", "preprocessing.json", "data.json", "weights.safetensors", CARD)


def load_start(run: str | os.PathLike[str], training: str | os.PathLike[str]) -> Run:
    """Load the run that a training begins with; where it is gone, the copy that was kept.

    Args:
        run: its folder.
        training: the folder of the new run, begun before or not.

    Raises:
        RunError: the run is not there, and no copy of it either; or it cannot be read.
    """
    for copy in _copies(Path(training)):
        if not is_run(Path(run)) and copy.name == Path(os.path.abspath(run)).name:
            return load(copy)
    try:
        return load(run)
    except RunError as error:
        if is_run(Path(run)) or not (Path(training) / "checkpoints").is_dir():
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
    """
    target = training / "checkpoints" / BEGAN_WITH / start.folder.resolve().name
    if target.resolve() == start.folder.resolve() or _whole(target, start):
        return
    folder(target)
    (target / "settings.json").unlink(missing_ok=True)
    names = [name for name in (*_FILES, *CARRIED_FILES) if (start.folder / name).is_file()]
    for name in (*names, "settings.json"):  # last: now it is a run
        with open(start.folder / name, "rb") as source, atomic(target / name) as out:
            shutil.copyfileobj(source, out, 1 << 20)


def _copies(training: Path) -> list[Path]:
    """Give the copy that a training has, in either place: of `train` or of `tune`."""
    places = [training / "checkpoints", training / "tuning" / "checkpoints"]
    return [
        path for place in places for path in sorted(place.glob(f"{BEGAN_WITH}/*")) if is_run(path)
    ]


def _whole(copy: Path, start: Run) -> bool:
    weights = "weights.safetensors"
    return is_run(copy) and sha256(copy / weights) == sha256(start.folder / weights)
