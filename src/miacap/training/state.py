"""Where a run stands: everything of a checkpoint that is no tensor."""

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from miacap.errors import RunError, nearest
from miacap.settings import to_json
from miacap.training.settings import TrainingSettings

# What a run may change between two sittings without becoming another run: how long it lasts
# (only upwards) and how it is watched. Everything else would make the weights a mixture.
GROWING = ("epochs", "patience")
FREE = ("checkpoint_every", "tensorboard")


@dataclass
class Best:
    """The best evaluation so far and the file under checkpoints/ with its weights."""

    value: float | None
    epoch: int
    step: int
    file: str
    sha256: str


@dataclass
class State:
    """Counts of a run.

    Attributes:
        epoch: whole epochs done.
        batch: batches done of the epoch after these.
        step: optimiser steps done.
        evaluated: the epoch count at the last evaluation.
        without_gain: evaluations since the best one.
        loss, weight: sums over the batches since the last evaluation.
        parts: sum and weight of what the loss was made of, over the same batches.
        seconds: time spent up to the last checkpoint.
        reason: why the run ended; empty while it goes on.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    evaluated: int = 0
    without_gain: int = 0
    loss: float = 0.0
    weight: float = 0.0
    parts: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""
    best: Best | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give the state as JSON values; floats keep every bit. `saved.read` reads them.

        Parts that are none are left out: versions that know no parts refuse their name.
        """
        found = dataclasses.asdict(self)
        if not self.parts:
            del found["parts"]
        return found


def check_settings(saved: dict[str, Any], settings: TrainingSettings, folder: object) -> None:
    """Refuse settings that differ from those a run was begun with.

    Raises RunError that names the setting; `epochs` and `patience` may grow.
    """
    now, defaults = to_json(settings), to_json(TrainingSettings())
    for name in dict.fromkeys([*now, *saved]):
        # A checkpoint from before a setting existed was trained as its default does.
        before: Any = saved.get(name, defaults.get(name))
        value: Any = now.get(name)
        if before == value or name in FREE:
            continue
        if name in GROWING:
            if _length(value) >= _length(before):
                continue
            raise RunError(
                f"{folder}: begun with {name}={before}{'' if before else ' (endless)'}, now "
                f"{name}={value}; it may only grow. Go on with {name}={before}, or choose another "
                "folder to train anew."
            )
        raise RunError(
            f"{folder}: begun with {name}={before}, now {name}={value}. "
            f"Go on with {name}={before}, or choose another folder to train anew."
        )


def check_task(saved: dict[str, Any], now: dict[str, Any], folder: object) -> None:
    """Refuse a task whose parameters, epoch length or watched number are not the saved ones."""
    for name in ("batches_per_epoch", "watched"):
        if saved[name] != now[name]:
            raise RunError(
                f"{folder}: begun with {name.replace('_', ' ')} {saved[name]!r}, now "
                f"{now[name]!r}: the data or the task changed. Choose another folder to train anew."
            )
    before, after = saved["shapes"], now["shapes"]
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            raise RunError(
                f"{folder}: the parameter {name!r} has shape {before.get(name)} in the checkpoint "
                f"and {after.get(name)} in the module. Go on with the settings the run was begun "
                "with, or choose another folder to train anew."
            )


def check_processes(saved: int, now: int, folder: object) -> None:
    """Refuse to go on with another number of processes: each has its own random numbers."""
    if saved != now:
        before = "one process" if saved == 1 else f"{saved} processes"
        raise RunError(
            f"{folder}: begun with {before}, now {now}: dropout and samples would be "
            f"others. Go on with {before} (accelerate launch --num_processes {saved}), or choose "
            "another folder to train anew."
        )


def watched(wish: str, own: str | None) -> tuple[str | None, int]:
    """Say which number is watched, and whether higher (1) or lower (-1) is better.

    Args:
        wish: the setting `watch`.
        own: the task's number; where it watches none, none is watched.
    """
    if own is None or not wish:
        return own, 1
    return (wish[1:], -1) if wish.startswith("-") else (wish, 1)


def check_known(names: Collection[str], watched: str | None) -> None:
    """Raise RunError where the watched number is none that the evaluation gives."""
    if watched is not None and watched not in names:
        raise RunError(
            f"Training watches {watched!r}, which the evaluation does not give."
            f"{nearest(watched, names)} It gives: {', '.join(names) or 'nothing'}."
        )


def check_watched(numbers: Mapping[str, float], watched: str | None) -> float | None:
    """Give the watched number. Raises RunError where it is absent or not finite."""
    if watched is None:
        return None
    check_known(numbers, watched)
    value = numbers[watched]
    if not math.isfinite(value):
        raise RunError(
            f"The evaluation gave {watched} = {value}, which no weights can be chosen by: watch "
            "another number (training.watch), or train anew with a lower learning_rate."
        )
    return value


def _length(value: int) -> float:
    """Epochs or patience as a length: a patience of 0 is endless, 0 epochs do not exist."""
    return float(value) if value else math.inf
