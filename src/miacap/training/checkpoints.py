"""Checkpoints: safetensors and JSON, whole or not there, never a pickle.

`step-N.safetensors` holds all tensors, `step-N.json` the rest and the checksum of both; the
JSON is written last, so a checkpoint without it does not count. Beside them lie `best-N`, the
best weights that a checkpoint speaks of: `weights.safetensors` is a copy of these, made after
the checkpoint is there, and so can be made again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from miacap.errors import MiacapError, RunError
from miacap.files import atomic, read_json, sha256, write_json
from miacap.weights import read_tensors, write_tensors

FORMAT = 1
KEPT = 2  # the newest, and the one before it should the newest turn out damaged


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint as read: `tensors` by group and name, `state` as JSON gave it."""

    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def write(folder: Path, step: int, tensors: dict[str, dict[str, Tensor]], state: Any) -> None:
    """Write the checkpoint of a step; it counts from the moment its JSON is there."""
    flat = {f"{group}/{name}": t for group, named in tensors.items() for name, t in named.items()}
    digest = write_tensors(folder / f"step-{step:09d}.safetensors", flat)
    body = {"format": FORMAT, "tensors_sha256": digest, "state": state}
    write_json(folder / f"step-{step:09d}.json", {**body, "sha256": _digest(body)})


def newest(folder: Path, note: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest whole checkpoint, or give None where there is none at all.

    A damaged one is named through `note` and the one before it is read. Raises RunError where
    all are damaged, or where a newer miacap wrote them.
    """
    files = sorted(folder.glob("step-*.json"), reverse=True)
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


def prune(folder: Path, best: str | None, kept: int = KEPT) -> None:
    """Remove all but the newest checkpoints, best weights that none speaks of, and debris."""
    files = sorted(folder.glob("step-*.json"), reverse=True)
    for old in files[kept:]:
        old.unlink(missing_ok=True)
    steps = {file.stem for file in files[:kept]}
    for tensors in folder.glob("step-*.safetensors"):
        if tensors.stem not in steps:
            tensors.unlink(missing_ok=True)
    spoken_of = {best}
    for file in files[1:kept]:
        try:
            spoken_of.add((_read_state(file)["state"]["place"]["best"] or {}).get("file"))
        except _Damaged:
            continue
    for weights in folder.glob("best-*.safetensors"):
        if weights.name not in spoken_of:
            weights.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the half-written files that a killed process left under the names we write."""
    for pattern in (
        "checkpoints/.step-*.part",
        "checkpoints/.best-*.part",
        ".weights.safetensors.*.part",
        ".metrics.jsonl.*.part",
    ):
        for debris in folder.glob(pattern):
            debris.unlink(missing_ok=True)


def publish(source: Path, target: Path, digest: str) -> None:
    """Make `target` a copy of `source`, unless it is one already.

    Raises RunError where the source is gone or damaged while the target is not its copy.
    """
    if target.exists() and sha256(target) == digest:
        return
    if not source.exists() or sha256(source) != digest:
        raise RunError(
            f"{source}: the best weights are gone or damaged, and {target.name} is not a copy of "
            "them. Delete the checkpoints folder and the weights to train from the start."
        )
    with open(source, "rb") as file, atomic(target) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)


class _Damaged(RunError):
    pass


def _read(file: Path) -> Checkpoint:
    content = _read_state(file)
    path = file.with_suffix(".safetensors")
    if not path.exists() or sha256(path) != content["tensors_sha256"]:
        raise _Damaged(f"{path}: missing, or damaged (its checksum differs).")
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in read_tensors(path).items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = tensor
    return Checkpoint(groups, content["state"])


def _read_state(file: Path) -> dict[str, Any]:
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
    if content.pop("sha256", None) != _digest(content):
        raise _Damaged(f"{file}: damaged (its checksum differs).")
    return content


def _digest(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
