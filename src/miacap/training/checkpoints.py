"""Checkpoints: safetensors and JSON, whole or not there, never a pickle.

`step-N.safetensors` holds all tensors, `step-N.json` the rest and the checksum of both; the
JSON is written last, so a checkpoint without it does not count. Beside them lie `best-N`, the
best weights that a checkpoint speaks of: `weights.safetensors` is a copy of these, made after
the checkpoint is there, and so can be made again.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from miacap.errors import DataError, MiacapError, RunError
from miacap.files import atomic, read_json, remove_abandoned, sha256, write_json
from miacap.training.processes import Processes
from miacap.training.saved import Saved
from miacap.training.saved import read as read_saved
from miacap.weights import read_tensors, write_tensors

FORMAT = 2
"""Of a run of several processes, and of one whose loss tells its parts in mid-epoch. Without both
it is format 1, which older versions read; they refuse format 2 by its number."""
KEPT = 2  # the newest, and the one before it should the newest turn out damaged


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint as read: `tensors` by group and name, and all else."""

    tensors: dict[str, dict[str, Tensor]]
    saved: Saved


def write(folder: Path, step: int, tensors: dict[str, dict[str, Tensor]], state: Any) -> None:
    """Write the checkpoint of a step; it counts from the moment its JSON is there."""
    digest = write_tensors(folder / f"step-{step:09d}.safetensors", flat(tensors))
    number = FORMAT if "others" in state or state["place"].get("parts") else 1
    body = {"format": number, "tensors_sha256": digest, "state": state}
    write_json(folder / f"step-{step:09d}.json", {**body, "sha256": _digest(body)})


def flat(tensors: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """Give tensors by group and name as `{group}/{name}` -> tensor."""
    return {f"{group}/{name}": t for group, named in tensors.items() for name, t in named.items()}


def grouped(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Do the opposite of `flat`."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = tensor
    return groups


def newest(folder: Path, note: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest whole checkpoint, or give None where there is none at all.

    A damaged one is named through `note` and the one before it is read. Raises RunError where
    all are damaged, or where a newer miacap wrote them.
    """
    files = _newest_first(folder, "step", "json")
    problems = []
    for file in files:
        try:
            return _read(file)
        except _Damaged as error:
            problems.append(str(error))
            note(f"{error} Going back to the checkpoint before it.")
    if problems:
        raise RunError(
            f"{folder}: no checkpoint can be read. {problems[0]} "
            "Delete the folder to train from the start."
        )
    return None


def for_all(processes: Processes, read: Callable[[], Checkpoint | None]) -> Checkpoint | None:
    """Have the main process read a checkpoint, and give it to all; errors as of `from_main`."""
    if not processes.several:
        return read()
    found: list[Checkpoint] = []

    def told() -> dict[str, Any] | None:
        checkpoint = read()
        if checkpoint is None:
            return None
        found.append(checkpoint)
        return checkpoint.saved.to_json()

    state = processes.from_main(told)
    if state is None:
        return None
    tensors = processes.tensors_from_main(lambda: flat(found[0].tensors))
    return Checkpoint(grouped(tensors), read_saved(state, state["place"]["step"]))


def prune(folder: Path, step: int, best: str | None, kept: int = KEPT) -> None:
    """Remove all but the newest checkpoints, best weights that none speaks of, and debris.

    A checkpoint of a later step than the one that was just written was damaged: training went on
    from before it.
    """
    every = _newest_first(folder, "step", "json")
    files = [file for file in every if _step_of(file) <= step]
    for old in {*every} - {*files[:kept]}:
        old.unlink(missing_ok=True)
    steps = {file.stem for file in files[:kept]}
    for tensors in _newest_first(folder, "step", "safetensors"):
        if tensors.stem not in steps:
            tensors.unlink(missing_ok=True)
    spoken_of = {best}
    for file in files[1:kept]:
        try:
            saved, _ = _read_json(file)
        except _Damaged:
            continue
        spoken_of.add(saved.place.best.file if saved.place.best else None)
    for weights in _newest_first(folder, "best", "safetensors"):
        if weights.name not in spoken_of:
            weights.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the half-written files that a killed process of ours left; strangers' files stay."""
    for pattern in (
        "checkpoints/.step-*.part",
        "checkpoints/.best-*.part",
        "checkpoints/.failure.json.*.part",
        ".weights.safetensors.*.part",
        ".metrics.jsonl.*.part",
    ):
        for debris in folder.glob(pattern):
            remove_abandoned(debris)


def _newest_first(folder: Path, kind: str, suffix: str) -> list[Path]:
    """Give the files that `write` or an evaluation names so, the latest step first.

    Files that merely begin alike (`best-of-all.safetensors`) are somebody's own, as folders are.
    """
    name = re.compile(rf"{kind}-\d{{9}}\.{suffix}")
    files = [path for path in folder.glob(f"{kind}-*") if name.fullmatch(path.name)]
    return sorted((p for p in files if p.is_symlink() or not p.is_dir()), reverse=True)


def _step_of(file: Path) -> int:
    return int(file.stem.removeprefix("step-"))


def publish(source: Path, target: Path, digest: str) -> None:
    """Make `target` a copy of `source`, unless it is one already.

    Raises RunError where the source is gone or damaged while the target is not its copy.
    """
    if _has(target, digest):
        return
    if not _has(source, digest):
        raise RunError(
            f"{source}: the best weights are gone or damaged, and {target.name} is not a copy of "
            "them. Delete the checkpoints folder and the weights to train from the start."
        )
    with open(source, "rb") as file, atomic(target) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)


class _Damaged(RunError):
    pass


def _has(path: Path, digest: str) -> bool:
    """Whether there is a file of this SHA-256; a pipe or a device is none, and not waited for."""
    try:
        return sha256(path) == digest
    except (DataError, FileNotFoundError):
        return False


def _read(file: Path) -> Checkpoint:
    saved, digest = _read_json(file)
    path = file.with_suffix(".safetensors")
    if not _has(path, digest):
        raise _Damaged(f"{path}: missing, or damaged (its checksum differs).")
    return Checkpoint(grouped(read_tensors(path)), saved)


def _read_json(file: Path) -> tuple[Saved, str]:
    """Give what a checkpoint's JSON says, and the checksum of its tensors."""
    try:
        content = read_json(file)
    except MiacapError as error:
        raise _Damaged(str(error)) from None
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise _Damaged(f"{file}: not a checkpoint of miacap.")
    if content["format"] > FORMAT:
        raise RunError(
            f"{file}: format {content['format']}, this miacap reads {FORMAT}; "
            "install a newer miacap."
        )
    digest = content.pop("sha256", None)
    try:
        whole = digest == _digest(content)
    except ValueError:  # NaN or infinity, which are no JSON and never written
        whole = False
    if not whole:
        raise _Damaged(f"{file}: damaged (its checksum differs).")
    try:
        saved = read_saved(content.get("state"), _step_of(file))
    except ValueError as error:
        raise _Damaged(f"{file}: damaged ({error}).") from None
    return saved, str(content.get("tensors_sha256"))


def _digest(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
