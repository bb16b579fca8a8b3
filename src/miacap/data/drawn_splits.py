"""The splits that data lacks, drawn from its training pictures."""

import hashlib
from dataclasses import replace

from miacap.data.dataset import Dataset, Source
from miacap.data.splits import DRAW, draw_split
from miacap.errors import DataError

_DRAWN = ("dev", "test")


def with_drawn_splits(dataset: Dataset) -> Dataset:
    """Draw dev and test from the training pictures, each where no picture is in it.

    Who is drawn follows from the picture's id alone (see `draw_split`): one in ten for each split.
    What was drawn is among the sources, so that a run's `data.json` has its checksum.

    Raises:
        DataError: there are no training pictures, or both splits are there.
    """
    lacking = [split for split in _DRAWN if split not in dataset.splits]
    known = ", ".join(f"{split} ({count})" for split, count in dataset.splits.items())
    if not lacking:
        raise DataError(
            f"{dataset.name}: has both dev and test, so no split has to be drawn; leave --splits "
            f"{DRAW} out."
        )
    if "train" not in dataset.splits:
        raise DataError(
            f"{dataset.name}: no picture is in train to draw {' and '.join(lacking)} from. Known: "
            f"{known or 'none at all'}."
        )
    drawn = {
        entry.id: split
        for entry in dataset.pictures
        if entry.split == "train" and (split := draw_split(entry.id)) in lacking
    }
    text = "".join(f"{id}\t{split}\n" for id, split in drawn.items()).encode()
    source = Source(
        f"{' and '.join(lacking)} drawn from train", hashlib.sha256(text).hexdigest(), len(text)
    )
    pictures = tuple(
        replace(entry, split=drawn.get(entry.id, entry.split)) for entry in dataset.pictures
    )
    return replace(dataset, pictures=pictures, sources=(*dataset.sources, source))
