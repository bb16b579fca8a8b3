"""What a feature store is about: one short file beside its shards."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from miacap.data import features
from miacap.data.features import Record
from miacap.data.later import written
from miacap.data.sealed import read_sealed, write_sealed
from miacap.errors import DataError, RunError, SettingsError
from miacap.settings import from_json, to_json
from miacap.wording import counted

FORMAT = 1
NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The description that all features of a store share.

    Attributes:
        kind: "regions" (matrices in half precision) or "concepts" (vectors of probabilities
            over the concept vocabulary, in single precision).
        preprocessing: exactly how the features were made.
        width: length of a region row, or size of the concept vocabulary.
        words: the concept vocabulary in order, for concepts; None for regions.
        extractor: checksum of the concept extractor's weights; None for regions and for lists.
        made_by: program and version; two versions may fill one store.
        format: version of the layout on disk.

    Raises:
        ValueError: the fields contradict each other.
    """

    kind: Literal["regions", "concepts"]
    preprocessing: Record
    width: int
    words: tuple[str, ...] | None
    extractor: str | None
    made_by: str
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}, but rows hold at least one number.")
        if self.kind == "concepts" and (self.words is None or len(self.words) != self.width):
            raise ValueError(
                f"a store of concepts needs its {counted(self.width, 'word')} in order."
            )
        if self.kind == "regions" and self.words is not None:
            raise ValueError("a store of regions has no concept words.")

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write the manifest into a store's folder."""
        record = written(self.preprocessing)
        write_sealed(Path(folder) / NAME, {**to_json(self), "preprocessing": record})

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "Manifest":
        """Read a store's manifest.

        Raises:
            RunError: no store here, a damaged manifest, or a format newer than this miacap.
        """
        path = Path(folder) / NAME
        if not path.is_file():
            why = f"{NAME} is absent" if Path(folder).exists() else "there is no such folder"
            raise RunError(
                f"{folder}: no feature store here ({why}); make one: miacap features DATA -o FOLDER"
            )
        try:
            value = read_sealed(path)
            check_format(value, path)
            if "preprocessing" in value:
                value["preprocessing"] = features.tagged(value["preprocessing"])
            return from_json(cls, value, str(path))
        except (DataError, SettingsError) as error:
            raise RunError(str(error)) from None

    def differences(self, other: "Manifest") -> list[str]:
        """Say field by field where two manifests differ ("size: 224 here, 240 there")."""
        prepared = features.differences(self.preprocessing, other.preprocessing)
        pairs = {f"preprocessing.{name}": pair for name, pair in prepared.items()}
        for name in ("kind", "width", "words", "extractor", "format"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                pairs[name] = mine, theirs
        return [f"{n}: {_short(a)} here, {_short(b)} there" for n, (a, b) in pairs.items()]


def check_format(value: Any, path: Path) -> None:
    """Refuse a file of another format. Raises RunError."""
    number = value.get("format") if isinstance(value, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise RunError(f"{path}: its format is {number!r}, not a number from 1; it is damaged.")
    if number > FORMAT:
        raise RunError(
            f"{path}: written in format {number} by a newer miacap; this one reads up to format "
            f"{FORMAT}. Upgrade: pip install -U miacap"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
