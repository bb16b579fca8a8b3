"""A detector's files: FILE.onnx, and FILE.json that describes it.

For the files that we know by their checksum a description comes with miacap; one that lies
beside the file goes first.
"""

import hashlib
import os
from functools import cache
from importlib import resources
from pathlib import Path

from miacap.data.detectors import Description, read_description
from miacap.devices import Device
from miacap.errors import DataError, RunError
from miacap.reading import open_file
from miacap.visual.detectors import onnx_file
from miacap.visual.detectors.onnx_detector import OnnxDetector


def load(path: str | os.PathLike[str], device: Device = "auto") -> OnnxDetector:
    """Read a detector: an ONNX file with its description.

    Raises:
        DataError: there is no such file.
        MissingExtra: onnxruntime is not installed.
        RunError: no description, or a file that is not as described.
        SettingsError: a description with unknown, missing or wrong fields.
    """
    data = read(path)
    return OnnxDetector(data, described(path, hashlib.sha256(data).hexdigest()), device)


def read(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of an ONNX file, one more than `onnx_file.LARGEST` at most.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    try:
        with open_file(path) as file:
            return file.read(onnx_file.LARGEST + 1)  # what is larger is refused by its bytes
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


def described(path: str | os.PathLike[str], sha256: str) -> Description:
    """Find the description of an ONNX file: beside it, or among ours.

    Raises:
        RunError: there is none.
        DataError, SettingsError: it cannot be read.
    """
    beside = Path(path).with_suffix(".json")
    if beside.is_file():
        return read_description(beside)
    for description in shipped().values():
        if description.sha256 == sha256:
            return description
    raise RunError(
        f"{path}: no description of this detector. Write {beside.name} beside it: its input, "
        "outputs and classes, as docs/backbones.md explains (section Detectors)."
    )


@cache
def shipped() -> dict[str, Description]:
    """Give the descriptions that come with miacap, by the name of their file."""
    found = {}
    for entry in resources.files("miacap.visual.detectors").iterdir():
        if entry.name.endswith(".json"):
            with resources.as_file(entry) as path:
                found[path.stem] = read_description(path)
    if not found:
        raise DataError("miacap's descriptions of detectors are absent; install miacap again.")
    return found
