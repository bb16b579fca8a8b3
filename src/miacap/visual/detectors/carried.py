"""The detector's file that a feature store and a run folder carry along.

So a run captions photos on any machine. Its description needs no file: the record has it whole.
"""

import hashlib
import os
from pathlib import Path

from miacap.data.features import Detector
from miacap.devices import Device
from miacap.errors import DataError, RunError
from miacap.files import atomic
from miacap.visual.detectors.files import read
from miacap.visual.detectors.onnx_detector import OnnxDetector

FILE = "detector.onnx"


def carried(
    record: Detector, folder: str | os.PathLike[str], device: Device = "auto"
) -> OnnxDetector:
    """Load the detector that lies in a store or a run folder.

    Raises:
        RunError: it is absent, or not the one of the record.
        MissingExtra: onnxruntime is not installed.
    """
    return OnnxDetector(_checked(record, Path(folder) / FILE), record.description, device)


def keep(data: bytes, folder: str | os.PathLike[str]) -> None:
    """Lay a detector's bytes into a folder; the same bytes that lie there already stay."""
    file = Path(folder) / FILE
    if not (file.is_file() and file.read_bytes() == data):
        with atomic(file) as copied:
            copied.write(data)


def copy(record: Detector, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy the detector of a store or a run into another folder.

    Raises:
        RunError: it is absent, or not the one of the record.
    """
    keep(_checked(record, Path(source) / FILE), target)


def require(record: Detector, folder: str | os.PathLike[str]) -> None:
    """See that a store or a run folder carries its detector.

    Raises:
        RunError: it is absent, or not the one of the record.
    """
    _checked(record, Path(folder) / FILE)


def _checked(record: Detector, file: Path) -> bytes:
    try:
        data = read(file)
    except DataError as error:
        raise RunError(
            f"{error} It is the detector {record.title!r} that found the regions; copy the folder "
            "again, with this file."
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != record.weights_sha256:
        raise RunError(
            f"{file}: not the detector {record.title!r} that found the regions (SHA-256 "
            f"{digest[:12]}, not {record.weights_sha256[:12]}); copy the folder again."
        )
    return data
