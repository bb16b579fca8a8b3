"""What tuning learns from: captioned photos that can be read, their words, their folds."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from miacap.concepts import folds
from miacap.concepts.claiming import spellings
from miacap.concepts.tuning.settings import TuneSettings
from miacap.concepts.wanted import Wanted
from miacap.data import Dataset
from miacap.data.features import Preprocessing
from miacap.errors import DataError
from miacap.settings import to_json
from miacap.visual.photo_batches import Looked, PhotoBatches, look_once

_FILE = "photos.json"


@dataclass(frozen=True)
class TuningData:
    """Photos with their words.

    Attributes:
        dataset: where they come from.
        record: how they are prepared.
        looked: which photos can be read.
        splits: those of them that have captions, by split.
        wanted: words and targets.
        folds: of the training pictures; empty where none are wanted.
    """

    dataset: Dataset
    record: Preprocessing
    looked: Looked
    splits: Mapping[str, tuple[str, ...]]
    wanted: Wanted
    folds: Mapping[str, int]

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        record: Preprocessing,
        settings: TuneSettings,
        folder: Path,
        quiet: bool,
    ) -> "TuningData":
        """Look at the photos, or read what an earlier look found, and take their captions' words.

        Raises DataError where no training photo can be read.
        """
        looked = _looked(dataset, record, settings, folder, quiet)
        splits: dict[str, list[str]] = {}
        for entry in dataset.pictures:
            if entry.captions and entry.id in looked.sums:
                splits.setdefault(entry.split, []).append(entry.id)
        if not splits.get("train"):
            reason = next(iter(looked.aside.values()), "")
            raise DataError(
                f"{dataset.name}: no training picture has both captions and a photo that can be "
                f"read{f'; the first: {reason}' if reason else ''}."
            )
        found: dict[str, int] = {}
        if settings.folds:
            found = folds.require_two(
                {name: _fold(looked, name, settings) for name in splits["train"]}
            )
        named = {split: tuple(group) for split, group in splits.items()}
        return cls(dataset, record, looked, named, Wanted.of(dataset, named, settings), found)

    def targets(self, names: Sequence[str]) -> Tensor:
        """Give the targets of some pictures, B x A."""
        return torch.stack([self.wanted.targets[name] for name in names])

    def photos(self, names: Sequence[str], settings: TuneSettings) -> PhotoBatches:
        """Give some photos as batches."""
        return PhotoBatches(
            self.dataset.photos,
            {name: self.looked.sums[name] for name in names},
            self.record,
            settings.batch_size,
            seed=settings.seed,
            flips=settings.flips,
            crops=settings.crops,
            crop_size=settings.crop_size,
        )


def fingerprints(dataset: Dataset, record: Preprocessing) -> list[str]:
    """Give a checksum of everything that is learned from, photos aside; see `claim`."""
    rows = [[e.id, e.split, list(e.captions)] for e in dataset.pictures]
    texts = [json.dumps([rows, one], sort_keys=True) for one in spellings(to_json(record))]
    return [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]


def _fold(looked: Looked, name: str, settings: TuneSettings) -> int:
    return folds.fold_of_sum(bytes.fromhex(looked.sums[name]), settings.folds, settings.seed)


def _looked(
    dataset: Dataset, record: Preprocessing, settings: TuneSettings, folder: Path, quiet: bool
) -> Looked:
    # Out-of-fold concepts are wanted of every picture, captions or not.
    names = [e.id for e in dataset.pictures if e.captions or settings.folds]
    return look_once(folder / _FILE, dataset.photos, names, record, quiet)
