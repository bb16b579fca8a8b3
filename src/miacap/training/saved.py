"""What a checkpoint's JSON says, read into typed records: anything else is damage."""

import dataclasses
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from miacap.training.state import GROWING, Best, State

RECORDED = ("epoch", "step", "seconds", "loss", "learning_rate")
"""What the loop itself writes of every evaluation."""

_LARGEST = 2**53  # of a count; a float holds every whole number up to here
_BEST = re.compile(r"best-\d{9}\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REASONS = ("", "epochs", "patience")
_NUMPY_KEYS = 624


@dataclass(frozen=True)
class Other:
    """What a process that is not the main one has of its own.

    Attributes:
        random: its generators.
        parts: as `State.parts`, over its part of the batches.
    """

    random: dict[str, Any]
    parts: dict[str, list[float]]


@dataclass(frozen=True)
class Saved:
    """Everything of a checkpoint that is no tensor.

    Attributes:
        settings: `TrainingSettings` as JSON, of this or an earlier version.
        task: what `check_task` compares.
        place: where the run stands.
        random: as `randomness.capture` gives it; of several processes, the main one's.
        others: of several processes, what the other ones have of their own.
    """

    settings: dict[str, Any]
    task: dict[str, Any]
    place: State
    random: dict[str, Any]
    others: tuple[Other, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give it as it stands in a checkpoint; `read` reads it."""
        found = dataclasses.asdict(self)
        del found["others"]
        others = [{**other.random, "parts": other.parts} for other in self.others]
        return {**found, "others": others} if others else found

    @property
    def processes(self) -> int:
        """How many processes the run was begun with."""
        return 1 + len(self.others)


def read(value: Any, step: int) -> Saved:
    """Read the state of the checkpoint of a step.

    Raises:
        ValueError: it is none; the message says which entry is wrong.
    """
    others = _others(value)
    if others:
        value = {name: item for name, item in value.items() if name != "others"}
    state = _record(value, ("settings", "task", "place", "random"), "state")
    settings = _mapping(state["settings"], "settings")
    for name in GROWING:
        if name in settings:
            _count(settings[name], f"settings.{name}")
    task = _record(state["task"], ("batches_per_epoch", "watched", "shapes"), "task")
    _mapping(task["shapes"], "task.shapes")
    place = read_place(state["place"])
    if place.step != step:
        raise ValueError(f"place.step is {place.step}, and the file's name says {step}")
    if place.batch >= _count(task["batches_per_epoch"], "task.batches_per_epoch"):
        raise ValueError("place.batch is beyond the epoch")
    return Saved(settings, task, place, _random(state["random"]), others)


def _others(value: Any) -> tuple[Other, ...]:
    """Give what the other processes have; a run of one process says nothing of them."""
    if not isinstance(value, dict) or "others" not in value:
        return ()
    if not isinstance(value["others"], list) or not value["others"]:
        raise ValueError("state.others is no list of processes")
    found = []
    for other in value["others"]:
        known = _record(other, ("python", "numpy", "parts"), "state.others")
        random = _random({name: known[name] for name in ("python", "numpy")})
        found.append(Other(random, _parts(known["parts"])))
    return tuple(found)


def read_place(value: Any) -> State:
    """Read where a run stands, as `State.to_json` gives it. Raises ValueError."""
    names = [field.name for field in dataclasses.fields(State)]
    if isinstance(value, dict):
        value = {"parts": {}, **value}  # checkpoints from before there were parts
    place = dict(_record(value, names, "place"))
    for name in ("epoch", "batch", "step", "evaluated", "without_gain"):
        _count(place[name], f"place.{name}")
    for name in ("loss", "weight", "seconds"):
        place[name] = _number(place[name], f"place.{name}")
    place["parts"] = _parts(place["parts"])
    if place["reason"] not in _REASONS:
        raise ValueError("place.reason is no reason why a run ends")
    if not isinstance(place["history"], list):
        raise ValueError("place.history is no list")
    for index, evaluation in enumerate(place["history"]):
        _check_evaluation(evaluation, f"place.history[{index}]")
    best = place["best"] = _best(place["best"])
    epochs = [evaluation["epoch"] for evaluation in place["history"]]
    if (best is None and epochs) or (best is not None and best.epoch not in epochs):
        raise ValueError("place.best is none of the evaluations in place.history")
    return State(**place)


def _parts(value: Any) -> dict[str, list[float]]:
    parts = {}
    for name, both in _mapping(value, "place.parts").items():
        if not isinstance(both, list) or len(both) != 2:
            raise ValueError(f"place.parts.{name} is no sum and weight")
        parts[name] = [_number(number, f"place.parts.{name}") for number in both]
    return parts


def _best(value: Any) -> Best | None:
    if value is None:
        return None
    best = _record(value, [field.name for field in dataclasses.fields(Best)], "place.best")
    number = None if best["value"] is None else _number(best["value"], "place.best.value")
    for name, pattern in (("file", _BEST), ("sha256", _SHA256)):
        if not isinstance(best[name], str) or not pattern.fullmatch(best[name]):
            raise ValueError(f"place.best.{name} is not as miacap writes it")
    epoch, step = (_count(best[name], f"place.best.{name}") for name in ("epoch", "step"))
    return Best(number, epoch, step, best["file"], best["sha256"])


def _check_evaluation(value: Any, where: str) -> None:
    evaluation = _mapping(value, where)
    for name in RECORDED:
        if name not in evaluation:
            raise ValueError(f"{where} has no {name}")
    for name, number in evaluation.items():
        if name in ("epoch", "step"):
            _count(number, f"{where}.{name}")
        elif number is not None:
            _number(number, f"{where}.{name}")


def _random(value: Any) -> dict[str, Any]:
    random = _record(value, ("python", "numpy"), "random")
    for name, length in (("python", 3), ("numpy", 5)):
        if not isinstance(random[name], list) or len(random[name]) != length:
            raise ValueError(f"random.{name} is no list of {length}")
    # numpy itself looks at neither, and would read beyond its memory.
    keys, position = random["numpy"][1:3]
    if not isinstance(keys, list) or len(keys) != _NUMPY_KEYS:
        raise ValueError("random.numpy has not the keys of a generator")
    if _count(position, "random.numpy[2]") > _NUMPY_KEYS:
        raise ValueError("random.numpy[2] is beyond the keys")
    return random


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")
    return value


def _record(value: Any, names: Collection[str], where: str) -> dict[str, Any]:
    record = _mapping(value, where)
    odd = sorted(record.keys() ^ set(names))
    if odd:
        raise ValueError(f"{where} {'has' if odd[0] in record else 'lacks'} {odd[0]!r}")
    return record


def _count(value: Any, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
        return value
    raise ValueError(f"{where} is no count")


def _number(value: Any, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{where} is no number")
