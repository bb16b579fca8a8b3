"""A backbone that was tuned: its weights and what they are, in a folder that can be carried.

`miacap tune` writes `backbone.safetensors` and `backbone.json` into its folder. A feature store and
a run that are built on them carry both, so that a run captions photos on any machine. The record
of features names such weights as it names all others: by network and checksum.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from miacap.data import Source
from miacap.data.features import Detector, Preprocessing, Record
from miacap.data.later import written
from miacap.devices import Device
from miacap.errors import DataError, RunError, SettingsError
from miacap.files import atomic, read_json, sha256, write_json
from miacap.settings import from_json, to_json
from miacap.visual import efficientnet_lite
from miacap.visual.libraries import read_file
from miacap.visual.lite import Lite
from miacap.weights import halved, not_finite, write_tensors
from miacap.wording import counted

WEIGHTS, DESCRIPTION = "backbone.safetensors", "backbone.json"
FORMAT = 1
_LARGEST = 64 << 20  # bytes; EfficientNet-Lite2 has 25 million


@dataclass(frozen=True)
class Tuning:
    """What a tuned backbone is, and which captions it knows.

    Attributes:
        preprocessing: network, checksum of the tuned weights, and how photos are prepared.
        began_with: checksum of the weights that tuning began with.
        data: name of the dataset.
        sources: its files.
        pictures: number of photos whose captions it learned from.
        words: number of words that it learned to find.
        made_by: program and version.
    """

    preprocessing: Preprocessing
    began_with: str
    data: str
    sources: tuple[Source, ...]
    pictures: int
    words: int
    made_by: str
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        """Write `backbone.json`."""
        record = written(self.preprocessing)
        write_json(folder / DESCRIPTION, {**to_json(self), "preprocessing": record})

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> "Tuning | None":
        """Read a folder's `backbone.json`; None where there is none.

        Raises:
            RunError: it is damaged, or a newer miacap wrote it.
        """
        file = Path(folder) / DESCRIPTION
        if not file.is_file():
            return None
        try:
            tree = read_json(file)
            if isinstance(tree, dict) and tree.get("format", FORMAT) != FORMAT:
                raise RunError(
                    f"{file}: format {tree['format']!r}, this miacap reads {FORMAT}; install a "
                    "newer miacap."
                )
            return from_json(cls, tree, str(file))
        except (DataError, SettingsError) as error:
            raise RunError(f"{error} Copy the file again.") from None

    def learned_from(self, sources: Iterable[Source]) -> str | None:
        """Say so where the network learned from captions that are among these; else None."""
        ours = {source.sha256 for source in self.sources}
        if not any(source.sha256 in ours for source in sources):
            return None
        return (
            f"the backbone of these features was tuned on the captions of "
            f"{counted(self.pictures, 'training photo')} of {self.data}, and knows these photos "
            "better than new ones"
        )


def known(folder: str | os.PathLike[str], sources: Iterable[Source]) -> str | None:
    """Say so where a store's or a run's backbone learned from captions of these files; else None.

    Raises:
        RunError: what is said of the backbone is damaged.
    """
    tuning = Tuning.of(folder)
    return None if tuning is None else tuning.learned_from(sources)


def load(folder: str | os.PathLike[str], device: Device = "auto") -> Lite:
    """Load the tuned backbone of a folder of `miacap tune`.

    Args:
        folder: where.
        device: where it runs.

    Raises:
        RunError: there is none, or it is damaged.
    """
    path = Path(folder)
    tuning = Tuning.of(path)
    if tuning is None:
        raise RunError(
            f"{path}: no tuned backbone here ({DESCRIPTION} is absent); make one with: miacap tune "
            f"DATA -o {path}"
        )
    return _lite(tuning.preprocessing, path, device)


def carried(
    record: Preprocessing, folder: str | os.PathLike[str] | None, device: Device = "auto"
) -> Lite | None:
    """Load the tuned backbone that a store or a run carries; None where it carries none.

    Raises:
        RunError: it is not the one of the record.
    """
    if folder is None or not (Path(folder) / WEIGHTS).is_file():
        return None
    return _lite(record, Path(folder), device)


def copy(record: Record, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy the tuned backbone of a folder into another; nothing where there is none.

    Raises:
        RunError: it is not the one of the record.
    """
    seen = record.pooling if isinstance(record, Detector) else record
    file = Path(source) / WEIGHTS
    if not isinstance(seen, Preprocessing) or not file.is_file():
        return
    _require(seen, file)
    tuning = Tuning.of(source)
    copied = Path(target) / WEIGHTS
    if not (copied.is_file() and sha256(copied) == seen.weights_sha256):
        with open(file, "rb") as whole, atomic(copied) as part:
            shutil.copyfileobj(whole, part, 1 << 20)
    if tuning is not None and Tuning.of(target) != tuning:
        tuning.save(Path(target))


def halve(record: Record, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Record:
    """Write the tuned backbone of a folder into another in half precision, with what it is.

    BatchNorms stay in single precision and unfolded: they are few, and the file stays one that
    can be tuned further. They are folded, in double precision, when the network is loaded.

    Args:
        record: of the folder's features.
        source: folder of a run.
        target: another folder.

    Returns:
        The record with the checksum of the new file; `record` itself where the folder carries no
        backbone.

    Raises:
        RunError: it is damaged, or not the one of the record.
    """
    seen = record.pooling if isinstance(record, Detector) else record
    file = Path(source) / WEIGHTS
    if not isinstance(seen, Preprocessing) or not file.is_file():
        return record
    _lite(seen, Path(source), "cpu")  # every check of a backbone that is loaded
    digest = write_tensors(Path(target) / WEIGHTS, halved(read_file(file)))
    new = replace(seen, weights_sha256=digest)
    tuning = Tuning.of(source)
    if tuning is not None:
        replace(tuning, preprocessing=new).save(Path(target))
    return replace(record, pooling=new) if isinstance(record, Detector) else new


def _lite(record: Preprocessing, folder: Path, device: Device) -> Lite:
    if record.backbone not in efficientnet_lite.VARIANTS:
        raise RunError(f"{folder / WEIGHTS}: no weights of {record.backbone} can be read from it.")
    _require(record, folder / WEIGHTS)
    # How exactly it computes is no matter of how its weights were tuned.
    known = ("kind", "backbone", "weights_sha256", "precision", "flips")
    own = {name: value for name, value in asdict(record).items() if name not in known}
    lite = Lite(record.backbone, folder / WEIGHTS, device, preparation=own, carried=True)
    if (broken := not_finite(lite.network)) is not None:
        raise RunError(f"{folder / WEIGHTS}: the weights {broken!r} are not finite; copy it again.")
    return lite


def _require(record: Preprocessing, file: Path) -> None:
    try:
        if file.stat().st_size > _LARGEST:
            raise RunError(f"{file}: larger than the weights of any network that is tuned here.")
        found = sha256(file)
    except (FileNotFoundError, DataError):
        raise RunError(f"{file}: the tuned backbone is absent; copy it again.") from None
    if found != record.weights_sha256:
        raise RunError(
            f"{file}: damaged, or not the weights that made these features (SHA-256 {found[:12]}, "
            f"not {record.weights_sha256[:12]}); copy the folder again."
        )
