"""Scenes: an endless, seeded set of drawn pictures with five true captions each.

The embedded default, for demonstrations, tests and a first training without any data; drawn
with Pillow (imported when it is needed), never with torch.
It may import the ground floor and the readers of this room.
"""

import json
import os
from pathlib import Path
from typing import Any

from miacap.data.dataset import Dataset
from miacap.data.readers import read
from miacap.data.scenes.composing import Chance, Scene, compose
from miacap.data.scenes.painting import paint
from miacap.data.scenes.sentences import captions
from miacap.errors import DataError
from miacap.files import atomic, read_json, strangers, write_json
from miacap.locks import lock
from miacap.progress import Progress
from miacap.wording import counted

__all__ = ["compose", "describe", "draw", "paint", "split_of"]

FORMAT = 1
_LOCK = ".lock"
_NOTE = "scenes.json"
_METADATA = "metadata.jsonl"
_SPLITS = (*["train"] * 8, "dev", "test")


def split_of(index: int) -> str:
    """Give a scene's split: of ten scenes in a row, eight are train, one dev, one test."""
    return _SPLITS[index % len(_SPLITS)]


def describe(scene: Scene, seed: int, index: int) -> dict[str, Any]:
    """Give a scene's line of metadata.jsonl.

    Returns:
        file_name, captions (five), split, place, and objects: from the farthest to the nearest,
        each with kind, colour, size ("small", "medium", "large") and box (x0 y0 x1 y1,
        relative to the picture).
    """
    return {
        "file_name": f"scene-{index:06d}.png",
        "captions": list(captions(scene, Chance(f"captions {seed} {index}"))),
        "split": split_of(index),
        "place": scene.place.name,
        "objects": [
            {
                "kind": thing.kind.name,
                "colour": thing.colour,
                "size": thing.size,
                "box": [round(value, 4) for value in thing.box],
            }
            for thing in scene.things
        ],
    }


def draw(
    folder: str | os.PathLike[str],
    pictures: int,
    seed: int = 0,
    *,
    size: int = 224,
    quiet: bool = True,
) -> Dataset:
    """Draw scenes 0 to `pictures` - 1 of a set into a folder, as PNGs and metadata.jsonl.

    Scene `index` of `seed` is the same in every set, byte for byte under one version of Pillow.
    A folder that holds the set already is left as it is; a shorter set is extended.

    Args:
        folder: made if absent.
        pictures: how many; ten or more have all three splits.
        seed: another seed, another set.
        size: pixels a side.
        quiet: show no progress.

    Returns:
        the set as `read` gives it, ids being file names.

    Raises:
        DataError: the folder holds something else, another set or a longer one.
        MissingExtra: Pillow is not installed.
    """
    if pictures < 1 or not 32 <= size <= 2048:
        raise DataError(
            f"{counted(pictures, 'scene')} of {counted(size, 'pixel')}: draw at least 1, of 32 "
            "to 2048."
        )
    path = Path(folder)
    _there(path, seed, size)  # refuses before anything is written
    with lock(path / _LOCK):  # two at once would read what the other has half drawn
        _draw(path, pictures, seed, size, quiet)
    return read(path)


def _draw(folder: Path, pictures: int, seed: int, size: int, quiet: bool) -> None:
    there = _there(folder, seed, size)
    if there > pictures:
        raise DataError(
            f"{folder}: holds {counted(there, 'scene')} already, more than the {pictures} asked "
            "for; choose "
            "another folder."
        )
    if there < pictures:
        write_json(folder / _NOTE, {"format": FORMAT, "seed": seed, "size": size})
        with Progress("Drawing scenes", pictures - there, "pictures", quiet) as progress:
            lines = [
                _draw_one(folder, seed, i, size, i >= there, progress) for i in range(pictures)
            ]
        with atomic(folder / _METADATA, "w") as file:
            file.writelines(lines)


def _draw_one(
    folder: Path, seed: int, index: int, size: int, wanted: bool, progress: Progress
) -> str:
    scene = compose(seed, index)
    row = describe(scene, seed, index)
    if wanted:
        # Fast compression: these pictures are drawn, read once and thrown away.
        file = folder / row["file_name"]
        try:
            paint(scene, size).save(file, format="PNG", compress_level=1)
        except OSError as error:  # a full disk is reported without a name
            raise OSError(error.errno, error.strerror or str(error), str(file)) from None
        progress.advance()
    return json.dumps(row) + "\n"


def _there(folder: Path, seed: int, size: int) -> int:
    """How many scenes of this set the folder holds; the metadata is written last."""
    if not strangers(folder, (_LOCK,)):
        return 0
    if not (folder / _NOTE).is_file():
        raise DataError(f"{folder}: holds other files; draw scenes into a folder of their own.")
    note = read_json(folder / _NOTE)
    if note != {"format": FORMAT, "seed": seed, "size": size}:
        raise DataError(
            f"{folder}: holds scenes of another set ({note}); choose another folder for seed "
            f"{seed} at {size} pixels."
        )
    metadata = folder / _METADATA
    return metadata.read_text(encoding="utf-8").count("\n") if metadata.is_file() else 0
