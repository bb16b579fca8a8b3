"""A model's folder in Hugging Face's form, read by us alone: JSON and safetensors.

    config.json                        how the network is built
    preprocessor_config.json           how photos are prepared for it (or processor_config.json)
    model.safetensors                  the weights, or several files that
    model.safetensors.index.json       names

The library that builds the network never sees the folder: no code in it is run, nothing is
unpickled, and no other folder or address that it names is followed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from miacap.errors import DataError, RunError
from miacap.files import read_json, sha256
from miacap.memory import free_memory

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
_MOST_FILES = 1000


@dataclass(frozen=True)
class ModelFolder:
    """A folder whose files were looked at, and no tensor read yet.

    Attributes:
        path: where it lies.
        config: what config.json says.
        files: the files of weights.
        sha256: one checksum over config.json and the files of weights, their names left out
            but for the order: the same model at another place has the same.
    """

    path: Path
    config: Mapping[str, Any]
    files: tuple[Path, ...]
    sha256: str

    @classmethod
    def open(cls, path: Path) -> "ModelFolder":
        """Look at a folder.

        Raises:
            RunError: it holds no model, or weights in a form that is not read.
        """
        config = read_object(path / CONFIG)
        if config.get("quantization_config"):
            raise RunError(
                f"{path}: its weights are quantised, and such are not read; choose the model with "
                "whole weights."
            )
        files = _weight_files(path)
        sums = [sha256(file) for file in (path / CONFIG, *files)]
        return cls(path, config, files, hashlib.sha256(json.dumps(sums).encode()).hexdigest())

    def tensors(self) -> dict[str, Tensor]:
        """Read the weights.

        Raises:
            RunError: no whole file of weights, or more than the memory that is left.
        """
        size, left = sum(file.stat().st_size for file in self.files), free_memory()
        if left is not None and size > left:
            raise RunError(
                f"{self.path}: its weights take {size / 1e9:,.1f} GB, and {left / 1e9:,.1f} GB of "
                "memory are left; choose a smaller model."
            )
        found: dict[str, Tensor] = {}
        for file in self.files:
            try:
                found |= safetensors.torch.load_file(file)
            except (OSError, safetensors.SafetensorError) as error:
                raise RunError(
                    f"{file}: no whole safetensors file ({error}); copy it again."
                ) from None
        return found


def read_object(file: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object. Raises RunError."""
    try:
        value = read_json(file)
    except DataError as error:
        raise RunError(str(error)) from None
    if not isinstance(value, dict):
        raise RunError(f"{file}: expected a JSON object; copy the file again.")
    return value


def is_model(path: Path) -> bool:
    """Whether a folder looks like a model's."""
    return (path / CONFIG).is_file()


def _weight_files(path: Path) -> tuple[Path, ...]:
    whole, index = path / WEIGHTS, path / INDEX
    if whole.is_file():
        return (whole,)
    if not index.is_file():
        pickled = sorted(file.name for kind in _PICKLES for file in path.glob(kind))
        if pickled:
            raise RunError(
                f"{path}: its weights are in a form that is not read ({pickled[0]}: a pickle can "
                "run code). Save them as safetensors, where you trust them: "
                "model.save_pretrained(FOLDER, safe_serialization=True)"
            )
        raise RunError(f"{path}: no weights here ({WEIGHTS} is absent); copy the whole folder.")
    parts = read_object(index).get("weight_map")
    names = sorted(set(map(str, parts.values()))) if isinstance(parts, dict) else []
    if not names or len(names) > _MOST_FILES:
        raise RunError(f'{index}: "weight_map" names no files of weights; copy the file again.')
    for name in names:
        # A plain name in this folder, so that nothing else is ever read.
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise RunError(f"{index}: {name[:80]!r} is no safetensors file of this folder.")
        if not (path / name).is_file():
            raise RunError(f"{path}: {name} is absent, which {INDEX} names; copy it, too.")
    return tuple(path / name for name in names)
