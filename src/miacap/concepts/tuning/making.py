"""Tune a backbone on the concept words of training captions.

The folder then holds `backbone.safetensors` and `backbone.json` (`visual.tuned`), `settings.json`,
`photos.json` (which photos could be read, and their checksums), with folds `concepts/`, and
`report.json`, which is written last. While it is made, `fits/` holds one training folder for each
network; whatever is interrupted goes on with the same call.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from miacap.concepts import folds
from miacap.concepts.claiming import claim, finish, finished
from miacap.concepts.idle import tell_idle
from miacap.concepts.networks import build
from miacap.concepts.task import Statistics, begin
from miacap.concepts.training import without_choice
from miacap.concepts.tuning import scoring
from miacap.concepts.tuning.data import TuningData, fingerprints
from miacap.concepts.tuning.report import report
from miacap.concepts.tuning.settings import TuneSettings
from miacap.concepts.tuning.task import TunedExtractor, TuningTask, probabilities, statistics
from miacap.data import Dataset
from miacap.data.features import Preprocessing
from miacap.devices import choose
from miacap.errors import SettingsError, UnknownName
from miacap.files import sha256
from miacap.parts import require_alone
from miacap.training import FitResult, fit
from miacap.version import __version__
from miacap.visual import Places, efficientnet_lite, tuned
from miacap.visual.backbones import DEFAULT, lite_file, weights_path
from miacap.visual.learning import Learning
from miacap.visual.libraries import read_file
from miacap.weights import read_tensors, write_tensors

Scores = dict[str, tuple[Sequence[str], Tensor]]
_SEEN = 1000  # training photos on which it is measured what the network knows of photos it saw


def tune(
    dataset: Dataset,
    folder: str | os.PathLike[str],
    settings: TuneSettings | None = None,
    *,
    backbone: str = DEFAULT,
    places: Places | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Tune a backbone so that the words of captions are found in its map.

    Network and extractor are fitted together to the photos of the training split; the epoch is
    chosen on dev, by mAP or, of a few pictures, by log-likelihood. With folds, further networks
    are tuned without a part of the training photos each, for as many epochs, and every picture
    gets concepts from a network that did not see its captions.

    Args:
        dataset: photos, captions and splits; pictures without a readable photo are left out.
        folder: where the results go; finished work in it is used again.
        settings: see `TuneSettings`.
        backbone: "efficientnet-lite2", -lite1, -lite0, or "tuned:FOLDER".
        places: where its weights may be found, as for `visual.load`.
        quiet: show no progress.

    Returns:
        The report: mAP, P@10 and R@10 on dev, on training photos that the network saw, and, with
        folds, of every captioned split; `table` sets it for reading.

    Raises:
        DataError: nothing to learn from.
        RunError: the folder was begun with other settings or data; no weights.
        UnknownName, MissingExtra: no such backbone, or its weights are not installed.
        SettingsError: a network that cannot be tuned, or a device that is not there.
    """
    require_alone("Tuning a backbone on words")
    settings = settings or TuneSettings()
    choose(settings.training.device)  # before a folder is begun with a device that is not there
    start = _Start.of(backbone, settings, places)
    path = Path(folder)
    # Weights are in the fingerprint, by their checksum: a path may change.
    claim(path, "tune", settings, *fingerprints(dataset, start.record))
    if (done := finished(path)) is not None:
        return done
    data = TuningData.of(dataset, start.record, settings, path, quiet)
    if not quiet:
        tell_idle(settings.training, "dev" in data.splits)
    result = _made(_Making(start, data, path, settings, quiet))
    finish(path, result)
    return result


def _made(making: "_Making") -> dict[str, Any]:
    """Fit all networks, keep the first and all scores; give the report."""
    data, path, settings, quiet = making.data, making.path, making.settings, making.quiet
    whole, result = making.whole()
    for fold in sorted(set(data.folds.values())):
        making.fold(fold, result.best_epoch)
    record = _keep(whole, making.start, data, path)
    seen = data.splits["train"][:_SEEN]
    scores: Scores = {"train, seen": (seen, probabilities(whole, data.photos(seen, settings)))}
    if settings.folds:
        networks = scoring.Networks(whole, lambda n: making.fold(n, result.best_epoch), record)
        scores |= scoring.score(data, networks, settings, path, quiet)
    elif dev := data.splits.get("dev"):
        scores["dev"] = (dev, probabilities(whole, data.photos(dev, settings)))
    return report(data, scores, result, settings)


@dataclass(frozen=True)
class _Start:
    """The network that tuning begins with.

    Attributes:
        record: its name, its weights, and how photos are prepared.
        weights: their file.
    """

    record: Preprocessing
    weights: Path

    @classmethod
    def of(cls, backbone: str, settings: TuneSettings, places: Places | None) -> "_Start":
        kind, colon, rest = backbone.partition(":")
        if colon and kind == "tuned":
            loaded = tuned.load(rest, "cpu")
            name, file, own = loaded.name, Path(rest) / tuned.WEIGHTS, dict(loaded.preparation)
        elif backbone in efficientnet_lite.VARIANTS:
            place = Places.of() if places is None else places
            file = lite_file(backbone, place, None) or weights_path(backbone)
            name, own = backbone, {}
        elif colon:
            raise SettingsError(
                f"The backbone {backbone} cannot be tuned here; "
                f"{', '.join(efficientnet_lite.VARIANTS)} and tuned:FOLDER can."
            )
        else:
            raise UnknownName("backbone", backbone, tuple(efficientnet_lite.VARIANTS))
        if settings.size is not None:
            own["size"] = settings.size
        return cls(Preprocessing(name, sha256(file), **own), file)

    def network(self) -> efficientnet_lite.EfficientNetLite:
        """Build it, unfolded."""
        name = self.record.backbone
        return efficientnet_lite.build(name, read_file(self.weights), self.weights.name)


@dataclass(frozen=True)
class _Making:
    """The networks of one call, fitted where that is not done yet."""

    start: _Start
    data: TuningData
    path: Path
    settings: TuneSettings
    quiet: bool

    def whole(self) -> tuple[TunedExtractor, FitResult]:
        """Fit the network of the whole training split."""
        dev = self.data.splits.get("dev")
        watch = (self.data.photos(dev, self.settings), self.data.targets(dev)) if dev else None
        task = self._task(self.data.splits["train"], folds.WHOLE, watch)
        chosen = replace(self.settings.training, seed=self.settings.seed)
        where = self.path / "fits" / "whole"
        result = fit(task, chosen, where, quiet=self.quiet, label="tuning")
        return task.module, result

    def fold(self, fold: int, epochs: int) -> TunedExtractor:
        """Fit the network that does not see a fold's photos."""
        names = [n for n in self.data.splits["train"] if self.data.folds[n] != fold]
        task = self._task(names, fold, None)
        chosen = without_choice(self.settings.training, epochs, self.settings.seed)
        label = f"tuning, fold {fold + 1} of {self.settings.folds}"
        where = self.path / "fits" / f"fold-{fold}"
        fit(task, chosen, where, quiet=self.quiet, label=label)
        return task.module

    def _task(self, names: Sequence[str], fold: int, dev: Any) -> TuningTask:
        settings, targets = self.settings, self.data.targets(names)
        backbone = Learning(self.start.record.backbone, self.start.network(), settings.stages)
        words = len(self.data.wanted.words)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed + 1 + fold)
            extractor = build(
                settings.extractor, efficientnet_lite.HEAD, words, settings.hidden, settings.dropout
            )
        noisy_or = settings.extractor == "multiple-instance"
        begin(extractor, self._statistics(backbone), targets, noisy_or)
        return TuningTask(
            TunedExtractor(backbone, extractor),
            self.data.photos(names, settings),
            targets,
            dev,
            rate=settings.backbone_rate,
            decay=settings.backbone_decay,
        )

    def _statistics(self, backbone: Learning) -> Statistics:
        """Scale the extractor's columns by what the network gave before it was tuned."""
        file = self.path / "fits" / "statistics.safetensors"
        if not file.is_file():
            train = self.data.photos(self.data.splits["train"], self.settings)
            found = statistics(backbone.eval(), train)
            file.parent.mkdir(exist_ok=True)
            rows = torch.tensor(found.rows)
            write_tensors(file, {"mean": found.mean, "deviation": found.deviation, "rows": rows})
        kept = read_tensors(file)
        return Statistics(kept["mean"], kept["deviation"], float(kept["rows"]))


def _keep(whole: nn.Module, start: _Start, data: TuningData, path: Path) -> Preprocessing:
    """Write the tuned backbone and what it is; give how features are made with it."""
    assert isinstance(whole, TunedExtractor)
    tensors = whole.backbone.network.state_dict()
    digest = write_tensors(path / tuned.WEIGHTS, tensors)
    record = replace(start.record, weights_sha256=digest)
    tuned.Tuning(
        preprocessing=record,
        began_with=start.record.weights_sha256,
        data=data.dataset.name,
        sources=data.dataset.sources,
        pictures=len(data.splits["train"]),
        words=len(data.wanted.words),
        made_by=f"miacap {__version__}",
    ).save(path)
    return record
