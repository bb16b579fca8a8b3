"""Pack a finished run so that it can be shipped: small, whole, and nothing of the training.

    weights      matrices in half precision; vectors (biases, norms) as they are, and so is a
                 matrix with a number that half precision cannot hold
    networks     the tuned backbone and the concept extractor alike; a detector's file as it is
    left out     checkpoints, logs of training, locks

A packed folder is a run as any other: weights are single precision again once they are loaded, and
every checksum is looked at. `packed.json` says what it was packed from, `SHA256SUMS` has the sum
of every file, as `sha256sum -c` reads them.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miacap.concepts import extractor
from miacap.data.features import Detector
from miacap.data.later import written
from miacap.errors import RunError
from miacap.files import CLAIM, atomic, claim, sha256, strangers, write_json
from miacap.runs import confidence
from miacap.runs.card import CARD
from miacap.runs.folder import Run, load
from miacap.settings import to_json
from miacap.version import __version__
from miacap.visual import detectors, tuned
from miacap.weights import halved, write_weights

__all__ = ["PACKED", "SUMS", "Packed", "pack", "write_sums"]

PACKED, SUMS = "packed.json", "SHA256SUMS"
FORMAT = 1
_SETTINGS, _WEIGHTS = "settings.json", "weights.safetensors"
_WHOLE = ("vocabulary.json", "data.json", "environment.json")
_IF_THERE = ("metrics.jsonl", "dev.json", CARD)


@dataclass(frozen=True)
class Packed:
    """A packed run.

    Attributes:
        run: the packed folder, read.
        bytes: size of all of its files.
        before: bytes of the weights and networks that it was packed from.
    """

    run: Run
    bytes: int
    before: int


def pack(run: str | os.PathLike[str], output: str | os.PathLike[str]) -> Packed:
    """Pack a trained run into another folder.

    Args:
        run: its folder.
        output: a new or empty folder, or one that was packed before: it is packed anew.

    Raises:
        RunError: the run is not whole or not trained; the folder holds something else.
    """
    whole, target = load(run), Path(output)
    module = whole.captioner("cpu")  # every check of a run that is loaded
    _claim(target, whole.folder)
    write_weights(target / _WEIGHTS, halved(module.state_dict()))
    record = tuned.halve(whole.preprocessing, whole.folder, target)
    if isinstance(record, Detector):
        detectors.copy(record, whole.folder, target)
    write_json(target / "preprocessing.json", written(record))
    if whole.concepts is not None:
        extractor.halve(whole.concepts, whole.folder, target)
    for name in _WHOLE:
        _copy(whole.folder / name, target / name)
    for name in _IF_THERE:
        if (whole.folder / name).is_file():
            _copy(whole.folder / name, target / name)
    confidence.carry(whole, target)
    write_json(target / PACKED, _told(whole))
    write_json(target / _SETTINGS, to_json(whole.settings))  # last: now it is a run
    write_sums(target)
    networks = [whole.folder / name for name in (_WEIGHTS, tuned.WEIGHTS, extractor.WEIGHTS)]
    return Packed(
        load(target),
        sum(file.stat().st_size for file in _files(target)),
        sum(file.stat().st_size for file in networks if file.is_file()),
    )


def write_sums(target: str | os.PathLike[str]) -> None:
    """Write the sums of a packed folder's files anew."""
    place = Path(target)
    lines = [f"{sha256(file)}  {file.relative_to(place).as_posix()}\n" for file in _files(place)]
    with atomic(place / SUMS, "w") as out:
        out.write("".join(lines))


def _files(target: Path) -> list[Path]:
    left_out = (CLAIM, SUMS)
    return sorted(f for f in target.rglob("*") if f.is_file() and f.name not in left_out)


def _claim(target: Path, source: Path) -> None:
    """Take the folder, and empty it where it was packed before."""
    if target.exists() and source.exists() and target.samefile(source):
        raise RunError(f"{target}: is the run itself; pack it into another folder.")
    claim(target, "packed run")  # a folder that holds anything else is refused
    (target / _SETTINGS).unlink(missing_ok=True)  # first: no run until it is whole again
    for name in strangers(target, (CLAIM,)):
        inside = target / name
        if inside.is_dir() and not inside.is_symlink():
            shutil.rmtree(inside)
        else:
            inside.unlink()


def _told(run: Run) -> dict[str, Any]:
    """Say what was packed, by name and checksums."""
    backbone = run.folder / tuned.WEIGHTS
    return {
        "format": FORMAT,
        "run": run.folder.resolve().name,
        "weights_sha256": sha256(run.folder / _WEIGHTS),
        "backbone_sha256": sha256(backbone) if backbone.is_file() else None,
        "extractor_sha256": None if run.concepts is None else run.concepts.checksum,
        "precision": "float16",
        "made_by": f"miacap {__version__}",
    }


def _copy(source: Path, target: Path) -> None:
    try:
        content = source.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{source}: absent; copy the run folder again.") from None
    with atomic(target) as copied:
        copied.write(content)
