"""Train extractors and give every picture its concepts, each training picture out of fold.

The folder then holds `scores/` (a store of kind concepts), `extractor.safetensors` and
`concepts.json` (the extractor of the whole training split), `settings.json` and
`report.json`, which is written last. While it is made, `fits/` holds one training folder per
extractor; whatever is interrupted goes on with the same call.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from miacap import terminal
from miacap.concepts import folds, report
from miacap.concepts.claiming import claim, finish, finished, spellings
from miacap.concepts.evaluation import log_likelihood
from miacap.concepts.extractor import Extractor
from miacap.concepts.folders import SCORES
from miacap.concepts.idle import tell_idle
from miacap.concepts.networks import build
from miacap.concepts.settings import ConceptSettings
from miacap.concepts.task import (
    ExtractorTask,
    Rows,
    Statistics,
    begin,
    probabilities,
    require_regions,
    smoothed,
)
from miacap.concepts.vocabulary import ConceptVocabulary
from miacap.concepts.wanted import Wanted
from miacap.data import Dataset
from miacap.data.leaks import find as find_leaks
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.devices import choose
from miacap.errors import DataError
from miacap.parts import require_alone
from miacap.progress import Progress
from miacap.settings import to_json
from miacap.training import TrainingSettings, fit
from miacap.version import __version__
from miacap.visual import tuned
from miacap.wording import counted

_CHUNK = 512  # pictures scored before they are handed to the store


def train(
    regions: FeatureStore,
    dataset: Dataset,
    folder: str | os.PathLike[str],
    settings: ConceptSettings | None = None,
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train the concept extractors of a dataset and store all pictures' concept scores.

    An extractor of the whole training split is fitted first. Its epoch is chosen on dev, by mAP or,
    of a few pictures, by log-likelihood; without captions of dev pictures it is the last. Then
    one is fitted per fold, for as many epochs. Training pictures are scored by the extractor of
    their own fold, which never saw their captions, all other pictures of `regions` by the first.

    Args:
        regions: store of regions with (at least) the training pictures.
        dataset: captions and splits; pictures without regions or captions are not learned from.
        folder: where the results go; finished work in it is used again.
        settings: see `ConceptSettings`.
        quiet: show no progress.

    Returns:
        The report: mAP, P@10, R@10, P@k, R@k (k = regions a picture) of every captioned split
        beside the base rate; `table` sets it for reading.

    Raises:
        DataError: nothing to learn from.
        RunError: the folder was begun with other settings or data; `regions` holds none.
    """
    require_alone("Training concept extractors")
    settings = settings or ConceptSettings()
    require_regions(regions)
    choose(settings.training.device)  # before a folder is begun with a device that is not there
    path = Path(folder)
    data = _Data.of(regions, dataset, settings)
    claim(path, "train", settings, *data.fingerprints())
    if (done := finished(path)) is not None:
        return done
    for leak in find_leaks(dataset, regions.photos):
        terminal.tell(f"warning: {leak.told}")
    if not quiet:
        tell_idle(settings.training, "dev" in data.splits)
    result = _trained(data, path, settings, quiet)
    if known := tuned.known(regions.folder, dataset.sources):
        result["train is scored"] = f"out of fold, but {known}"
    finish(path, result)
    return result


def _trained(data: "_Data", path: Path, settings: ConceptSettings, quiet: bool) -> dict[str, Any]:
    """Fit all extractors, keep the first and all scores; give the report."""
    whole, epochs = _fit_whole(data, path, settings, quiet)
    modules = {folds.WHOLE: whole}
    for fold in sorted(set(data.folds.values())):
        modules[fold] = _fit_fold(data, path, settings, fold, epochs, quiet)
    extractor = Extractor(
        data.words, settings.extractor, data.regions.manifest.width, settings.hidden,
        settings.dropout, whole,
    ).save(path)  # fmt: skip
    store = _score(data, modules, path / SCORES, extractor.checksum, quiet)
    return _report(data, store, settings, epochs)


@dataclass(frozen=True)
class _Data:
    """What there is to learn from, joined."""

    regions: FeatureStore
    words: ConceptVocabulary
    targets: Mapping[str, Tensor]  # of every picture with captions and regions
    splits: Mapping[str, tuple[str, ...]]  # those pictures by split
    folds: Mapping[str, int]  # of the training pictures
    covered: float
    without_regions: int

    @classmethod
    def of(cls, regions: FeatureStore, dataset: Dataset, settings: ConceptSettings) -> "_Data":
        splits: dict[str, list[str]] = {}
        absent = 0
        for entry in dataset.pictures:
            if not entry.captions:
                continue
            if entry.id not in regions:
                absent += 1
                continue
            splits.setdefault(entry.split, []).append(entry.id)
        if not splits.get("train"):
            raise DataError(
                f"{dataset.name}: no training picture has both captions and regions "
                f"({counted(absent, 'captioned picture is', 'captioned pictures are')} not in "
                f"{regions.folder})."
            )
        wanted = Wanted.of(dataset, splits, settings)
        return cls(
            regions,
            wanted.words,
            wanted.targets,
            {split: tuple(group) for split, group in splits.items()},
            folds.assign(splits["train"], dataset.photos, regions, settings.folds, settings.seed),
            wanted.covered,
            absent,
        )

    def stacked(self, names: tuple[str, ...] | list[str]) -> Tensor:
        """Give the targets of some pictures, B x A."""
        return torch.stack([self.targets[name] for name in names])

    def fingerprints(self) -> list[str]:
        """Give a checksum of everything that is learned from, pictures aside; see `claim`."""
        digest = hashlib.sha256(json.dumps(self.words.words).encode())
        for split, names in self.splits.items():
            for name in names:
                digest.update(f"{split}\0{name}\0{self.folds.get(name)}\0".encode())
                digest.update(self.targets[name].numpy().tobytes())
        manifest = to_json(self.regions.manifest)
        # Settings that came later are None where nobody asks for them: folders from before go on.
        sums = []
        for record in spellings(manifest["preprocessing"]):
            made = {k: v for k, v in record.items() if v is not None}
            whole = digest.copy()
            whole.update(json.dumps({**manifest, "preprocessing": made}, sort_keys=True).encode())
            sums.append(whole.hexdigest())
        return sums


def _fit_whole(
    data: _Data, path: Path, settings: ConceptSettings, quiet: bool
) -> tuple[nn.Module, int]:
    names = data.splits["train"]
    dev = data.splits.get("dev")
    pooled = settings.extractor == "pooled"
    watch = (Rows(data.regions, dev, pooled), data.stacked(dev)) if dev else None
    task = _task(data, names, settings, folds.WHOLE, watch)
    chosen = replace(settings.training, seed=settings.seed)
    result = fit(task, chosen, path / "fits" / "whole", quiet=quiet, label="concepts")
    return task.module, result.best_epoch


def _fit_fold(
    data: _Data, path: Path, settings: ConceptSettings, fold: int, epochs: int, quiet: bool
) -> nn.Module:
    names = tuple(name for name in data.splits["train"] if data.folds[name] != fold)
    task = _task(data, names, settings, fold, None)
    chosen = without_choice(settings.training, epochs, settings.seed)
    label = f"concepts, fold {fold + 1} of {settings.folds}"
    fit(task, chosen, path / "fits" / f"fold-{fold}", quiet=quiet, label=label)
    return task.module


def without_choice(training: TrainingSettings, epochs: int, seed: int) -> TrainingSettings:
    """Train exactly so many epochs of the schedule that the whole extractor had.

    Were a fold's epoch chosen by its own pictures, their captions would reach their concepts.
    """
    return replace(
        training,
        epochs=epochs,
        schedule_epochs=training.schedule_epochs or training.epochs,
        evaluate_every=epochs,
        patience=0,
        seed=seed,
    )


def _task(
    data: _Data,
    names: tuple[str, ...],
    settings: ConceptSettings,
    fold: int,
    dev: tuple[Rows, Tensor] | None,
) -> ExtractorTask:
    rows = Rows(data.regions, names, settings.extractor == "pooled")
    targets = data.stacked(names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed + 1 + fold)
        module = build(
            settings.extractor,
            data.regions.manifest.width,
            len(data.words),
            settings.hidden,
            settings.dropout,
        )
    statistics: Statistics = rows.statistics()
    begin(module, statistics, targets, settings.extractor == "multiple-instance")
    return ExtractorTask(
        module, rows, targets, dev, batch_size=settings.batch_size, seed=settings.seed
    )


def _score(
    data: _Data, modules: Mapping[int, nn.Module], folder: Path, checksum: str, quiet: bool
) -> FeatureStore:
    """Give every picture of the region store its scores, by the extractor that may see it."""
    manifest = Manifest(
        kind="concepts",
        preprocessing=data.regions.manifest.preprocessing,
        width=len(data.words),
        words=data.words.words,
        extractor=checksum,
        made_by=f"miacap {__version__}",
    )
    with StoreWriter(folder, manifest, shard_size=_CHUNK) as writer:
        names = [name for name in data.regions.names if name not in writer.done]
        with Progress("scoring concepts", len(names), "pictures", quiet) as progress:
            for start in range(0, len(names), _CHUNK):
                chunk = names[start : start + _CHUNK]
                scores = _scores(data, modules, chunk)
                for name in chunk:
                    writer.add(name, scores[name], photo=data.regions.photos.get(name))
                progress.advance(len(chunk))
    return FeatureStore.open(folder)


def _scores(data: _Data, modules: Mapping[int, nn.Module], names: list[str]) -> dict[str, Tensor]:
    scores: dict[str, Tensor] = {}
    for fold, module in modules.items():
        mine = [name for name in names if data.folds.get(name, folds.WHOLE) == fold]
        if mine:
            scores |= dict(zip(mine, probabilities(module, Rows(data.regions, mine)), strict=True))
    return scores


def _report(
    data: _Data, store: FeatureStore, settings: ConceptSettings, epochs: int
) -> dict[str, Any]:
    learned = data.stacked(data.splits["train"])
    frequencies, priors = learned.float().mean(0), smoothed(learned)
    first = data.splits["train"][0]
    k = min(len(data.regions.rows(first)), len(data.words))
    splits = {}
    for split, names in data.splits.items():
        scores = torch.stack(store.rows_of(names))
        targets = data.stacked(names)
        splits[split] = report.split_report(scores, targets, frequencies, k)
        splits[split]["log-likelihood"] = {
            "scores": log_likelihood(scores, targets),
            "base rate": log_likelihood(priors.expand(len(targets), -1), targets),
        }
    return {
        "format": 1,
        "extractor": settings.extractor,
        "words": len(data.words),
        "epochs": epochs,
        "folds": settings.folds,
        "pictures": len(store),
        "captioned pictures without regions": data.without_regions,
        "share of content words covered": round(data.covered, 6),
        "train is scored": "out of fold",
        "splits": splits,
    }
