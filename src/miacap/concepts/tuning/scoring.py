"""Concepts of every picture, each training picture's from a network that did not see it.

They lie in `concepts/` of the tuned folder, which `miacap train --concepts` takes beside features
of the tuned backbone: the extractor there is the one of the network of all training photos.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from miacap.concepts import folds
from miacap.concepts.extractor import Extractor
from miacap.concepts.extractor import copy as copy_extractor
from miacap.concepts.folders import SCORES
from miacap.concepts.tuning.data import TuningData
from miacap.concepts.tuning.settings import TuneSettings
from miacap.concepts.tuning.task import TunedExtractor, probabilities
from miacap.data.features import Preprocessing
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.files import folder as make_folder
from miacap.progress import Progress
from miacap.version import __version__
from miacap.visual import efficientnet_lite

FOLDER = "concepts"
_CHUNK = 256  # pictures scored before they are handed to the store


class Networks(NamedTuple):
    """The networks that score.

    Attributes:
        whole: of all training photos.
        fold: gives the one that did not see a fold.
        record: how features are made with the first of them.
    """

    whole: TunedExtractor
    fold: Callable[[int], TunedExtractor]
    record: Preprocessing


def score(
    data: TuningData, networks: Networks, settings: TuneSettings, path: Path, quiet: bool
) -> dict[str, tuple[Sequence[str], Tensor]]:
    """Store the concepts of all pictures; give those of each captioned split."""
    words = data.wanted.words
    extractor = Extractor(
        words, settings.extractor, efficientnet_lite.HEAD, settings.hidden, settings.dropout,
        networks.whole.extractor,
    ).save(path / "fits" / "extractor")  # fmt: skip
    manifest = Manifest(
        kind="concepts",
        preprocessing=networks.record,
        width=len(words),
        words=words.words,
        extractor=extractor.checksum,
        made_by=f"miacap {__version__}",
    )
    target = make_folder(path / FOLDER)
    with StoreWriter(target / SCORES, manifest) as writer:
        _fill(writer, data, networks, settings, quiet)
    copy_extractor(path / "fits" / "extractor", target)  # last: now they are concepts
    store = FeatureStore.open(target / SCORES)
    return {
        split: (names, torch.stack(store.rows_of(list(names))))
        for split, names in data.splits.items()
    }


def _fill(
    writer: StoreWriter, data: TuningData, networks: Networks, settings: TuneSettings, quiet: bool
) -> None:
    names = [name for name in data.looked.sums if name not in writer.done]
    with Progress("scoring concepts", len(names), "pictures", quiet) as progress:
        for fold in (folds.WHOLE, *sorted(set(data.folds.values()))):
            mine = [name for name in names if data.folds.get(name, folds.WHOLE) == fold]
            if not mine:
                continue
            module = networks.whole if fold == folds.WHOLE else networks.fold(fold)
            for start in range(0, len(mine), _CHUNK):
                chunk = mine[start : start + _CHUNK]
                scores = probabilities(module, data.photos(chunk, settings))
                for name, row in zip(chunk, scores, strict=True):
                    writer.add(name, row)
                progress.advance(len(chunk))
