"""Two pictures that are good, beside which a third one is read that is not."""

from pathlib import Path

from miacap.data import Conversion, Dataset, Entry, NoPhotos, convert

from .written_features import pictures

GOOD = pictures((1, 2))
IDS = ("1", "2", "3")
DATA = Dataset("mine", tuple(Entry(id, ("a",), "train") for id in IDS), NoPhotos())


def read(path: Path, **more: object) -> Conversion:
    return convert([path], path.parent / "store", DATA, quiet=True, **more)  # type: ignore[arg-type]


def said(path: Path, **more: object) -> str:
    """What is said of picture 3, beside two that are good."""
    return read(path, **more).store.set_aside["3"]
