"""Train a captioner and its backbone together, from photos, beginning with a trained run.

While it is made, the run folder has `tuning/`: the training's own folder, and which photos could be
read. When it is done the folder is a run as any other, which carries its backbone.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from miacap import captioners, runs, terminal
from miacap.captioning.inputs import Inputs, StoredConcepts, Wanted
from miacap.captioning.outcome import behind, finish
from miacap.captioning.reward import Reward
from miacap.captioning.seeing import (
    SeeingBatches,
    SeeingCaptioner,
    SeeingSelfCriticalTask,
    SeeingTask,
    SeenRows,
)
from miacap.captioning.training import best_scores
from miacap.captioning.tuning_begun import begin_with, keep_training
from miacap.captioning.validation import NUMBERS, DevScores
from miacap.captioning.words import encode, lengths
from miacap.concepts import ConceptFolder, check_fits
from miacap.data import Dataset
from miacap.data.features import Preprocessing
from miacap.data.leaks import find as find_leaks
from miacap.errors import DataError, RunError, SettingsError
from miacap.files import atomic, sha256, subfolder
from miacap.runs import BackboneTuning, Run, RunSettings, SelfCritical
from miacap.runs.folder import held
from miacap.runs.idle import without_effect
from miacap.runs.kept_start import keep_start
from miacap.runs.overview import BEGUN, TUNING
from miacap.runs.starting import begun, captioner_of, notes, seeking
from miacap.settings import to_json
from miacap.training import FitResult, fit
from miacap.training.processes import join
from miacap.version import __version__
from miacap.visual import Grid, Places, backbones, efficientnet_lite, tuned
from miacap.visual.learning import Learning
from miacap.visual.libraries import read_file
from miacap.visual.lite import Lite
from miacap.visual.photo_batches import Looked, PhotoBatches, look_once
from miacap.weights import write_tensors, write_weights
from miacap.wording import counted

_TUNABLE = tuple((name, None) for name in efficientnet_lite.VARIANTS)  # grid None: all cells


def tune(
    dataset: Dataset,
    folder: str | os.PathLike[str],
    start: Run,
    settings: RunSettings | None = None,
    *,
    concepts: ConceptFolder | None = None,
    places: Places | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> FitResult:
    """Go on training a run's captioner, and its backbone with it.

    Args:
        dataset: photos and captions, with a train and a dev split.
        folder: the new run folder.
        start: the run to begin with; its regions are the cells of EfficientNet-Lite.
        settings: of the new run; `runs.tuned(start)` gives the usual ones, for cross-entropy or
            self-critical training.
        concepts: of the pictures, where the captioner reads concepts: read from a file or found in
            photos, by no extractor.
        places: where the weights of the backbone may be found.
        stop_after: stop after this many steps, resumable.
        quiet: show no progress.

    Returns:
        What `training.fit` gives.

    Raises:
        DataError: no photos or captions to learn from or to choose by.
        RunError: the folder holds something else; concepts of an extractor; a backbone that
            cannot be tuned.
        SettingsError: settings that do not go with the run.
    """
    settings = begun(settings or runs.tuned(start, folder=folder), start)
    if settings.tuning is None:
        raise SettingsError(
            "A backbone learns by settings of `tuning`: runs.tuned(start) has them."
        )
    _check_decided(settings, start)
    if not quiet:
        _tell(settings, start, dataset)
    record = _record(start, settings.tuning)
    _check_concepts(start, concepts)
    _check_crop_size(start, settings.tuning)
    network = _unfolded(start, record, places)
    processes, path = join(settings.training.device), Path(folder, TUNING)
    names = [name for split in ("train", "dev") for name in dataset.split(split).captions]
    with ExitStack() as stack:

        def begin() -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
            stack.enter_context(held(folder))
            subfolder(folder, TUNING)
            begin_with(path / BEGUN, settings, dataset, concepts)
            keep_start(start, path)
            looked = look_once(path / "photos.json", dataset.photos, names, record, quiet)
            return to_json(settings.objective), asdict(looked)

        objective, found = processes.from_main(begin)
        sought, looked = seeking(settings, objective), Looked(**found)
        learning = _Learning.of(dataset, start, sought, record, concepts, network, looked)
        run = Run(Path(folder), sought, start.vocabulary, record, start.concepts)
        task = learning.task(run)
        result = fit(task, sought.training, path, quiet=quiet, stop_after=stop_after)

        def keep() -> None:
            keep_training(path / BEGUN, sought)
            if result.finished:
                learning.finish(run, result, concepts)
                if told := behind(start, run, best_scores(result)):
                    terminal.tell(f"warning: {told}")

        processes.from_main(keep)
    return result


def _check_decided(settings: RunSettings, start: Run) -> None:
    """Refuse settings that the run to begin with decides, and that nothing here would read."""
    width = start.settings.region_width
    if settings.region_width != width:
        raise SettingsError(
            f"region_width cannot be {settings.region_width}: regions of {start.folder} have "
            f"{counted(width, 'number')}; leave it out."
        )
    if settings.word_vectors is not None:
        raise SettingsError(
            "The run to begin with has trained its word table already; leave word_vectors out."
        )


def _tell(settings: RunSettings, start: Run, dataset: Dataset) -> None:
    for told in notes(start, settings.objective, dataset.sources):
        terminal.tell(f"note: {told}")
    for told in without_effect(settings, start):
        terminal.tell(f"note: {told}.")


def _record(start: Run, tuning: BackboneTuning) -> Preprocessing:
    """Give how the new run's features are made. Raises RunError where that cannot be tuned."""
    record = start.preprocessing
    if isinstance(record, Preprocessing) and (record.backbone, record.grid) in _TUNABLE:
        return record if tuning.size is None else replace(record, size=tuning.size)
    raise RunError(
        f"{start.folder}: its features are of {record.title}, which cannot be tuned here; the "
        f"cells of {', '.join(efficientnet_lite.VARIANTS)} can."
    )


def _check_crop_size(start: Run, tuning: BackboneTuning) -> None:
    """Refuse another number of regions in training, where each comes with a concept."""
    wanted = Wanted.of(start.settings)
    if tuning.crop_size is not None and wanted.any_concepts and wanted.rows == "match":
        raise SettingsError(
            "tuning.crop_size gives training photos another number of regions than whole ones, "
            "and this captioner reads as many concepts as regions; leave it out."
        )


def _check_concepts(start: Run, concepts: ConceptFolder | None) -> None:
    """Refuse concepts that are found in features, which change here."""
    if not Wanted.of(start.settings).any_concepts:
        return
    if start.concepts is not None and start.concepts.kind == "extractor":
        raise RunError(
            f"{start.folder}: reads concepts that an extractor finds in its features, and these "
            "change when the backbone learns. Tune the backbone first (miacap tune DATA), or begin "
            "with a run that reads no concepts (--source plain) or others (concepts zero-shot)."
        )
    if concepts is None:
        raise DataError(f"{start.folder}: reads concepts; give them with --concepts FOLDER.")
    if start.concepts is not None:
        check_fits(start.concepts, concepts.source, reads_scores="scores" in start.reads)


def _unfolded(
    start: Run, record: Preprocessing, places: Places | None
) -> efficientnet_lite.EfficientNetLite:
    """Build the run's backbone as it learns. Raises RunError where its weights are not here."""
    name, file = record.backbone, start.folder / tuned.WEIGHTS
    if not file.is_file():
        place, wanted = Places.of() if places is None else places, record.weights_sha256
        file = backbones.lite_file(name, place, wanted) or backbones.weights_path(name)
    if sha256(file) != record.weights_sha256:
        Grid(Lite(name, file, "cpu"), record)  # refuses them, as wherever the network is wanted
    return efficientnet_lite.build(name, read_file(file), file.name)


@dataclass
class _Learning:
    """What is learned from, and by which networks."""

    dataset: Dataset
    settings: RunSettings
    record: Preprocessing
    sums: Mapping[str, str]
    captions: Mapping[str, tuple[str, ...]]
    references: Mapping[str, tuple[str, ...]]
    module: SeeingCaptioner
    inputs: Inputs
    rows: SeenRows

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        start: Run,
        settings: RunSettings,
        record: Preprocessing,
        concepts: ConceptFolder | None,
        network: efficientnet_lite.EfficientNetLite,
        looked: Looked,
    ) -> "_Learning":
        assert settings.tuning is not None
        parts = [dataset.split("train").captions, dataset.split("dev").captions]
        stored = concepts if Wanted.of(settings).any_concepts else None
        aside = {} if stored is None else stored.store.set_aside
        train, dev = (
            {n: texts for n, texts in part.items() if n in looked.sums and n not in aside}
            for part in parts
        )
        if not train or not dev:
            split = "dev" if train else "train"
            raise DataError(f"{dataset.name}: no captioned photo of {split} can be read.")
        backbone = Learning(record.backbone, network, settings.tuning.stages)
        with torch.no_grad():
            cells = backbone(torch.zeros(1, 3, *record.sides)).flatten(2).shape[2]
        rows = SeenRows([*train, *dev], cells)
        found = None if stored is None else StoredConcepts.of(stored, start.vocabulary)
        inputs = Inputs(Wanted.of(settings), found, rows)
        inputs.require([*train, *dev])
        module = SeeingCaptioner(backbone, captioner_of(start, settings))
        sums = {name: looked.sums[name] for name in (*train, *dev)}
        return cls(dataset, settings, record, sums, train, dev, module, inputs, rows)

    def task(self, run: Run) -> SeeingTask | SeeingSelfCriticalTask:
        """Give what `fit` trains."""
        settings, tuning = self.settings, self.settings.tuning
        assert tuning is not None
        objective, seed = settings.objective, settings.training.seed
        critical = isinstance(objective, SelfCritical)
        captioned = self.inputs.batches(
            list(self.captions),
            captions=None if critical else encode(run.vocabulary, self.captions),
            batch_size=settings.pictures_per_batch,
            maximum=settings.maximum_words,
        )
        train: Any = SeeingBatches(self._photos(self.captions), captioned)
        dev = DevScores(run, self.inputs, self.references)
        backbone: dict[str, Any] = {
            "rate": tuning.rate, "decay": tuning.decay, "looking": self._looking
        }  # fmt: skip
        if isinstance(objective, SelfCritical):
            reward = Reward.of(
                run.vocabulary, self.captions, self.references, self.inputs, objective, seed
            )
            return SeeingSelfCriticalTask(
                self.module, train, reward, dev, settings.search, objective, evaluated=NUMBERS,
                shown=dev.examples, **backbone,
            )  # fmt: skip
        regulariser = captioners.regulariser(settings.captioner)
        return SeeingTask(
            self.module, train, dev, objective, regulariser, numbers=NUMBERS, shown=dev.examples,
            **backbone,
        )  # fmt: skip

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        """Have the network look at each dev photo once, for search, loss and samples together."""
        self.rows.see(self.module.backbone, self._photos(self.references))
        try:
            yield
        finally:
            self.rows.forget()

    def finish(self, run: Run, result: FitResult, concepts: ConceptFolder | None) -> None:
        """Make the folder a run: backbone, captioner, numbers, card."""
        path = run.folder
        record = self._keep_backbone(run, path / TUNING)
        leaks = find_leaks(self.dataset, self.sums)
        laid = runs.create(
            path, run.settings, run.vocabulary, record, self.dataset.sources, concepts,
            path / TUNING, leaks,
        )  # fmt: skip
        runs.keep_settings(laid)
        write_weights(path / "weights.safetensors", self.module.captioner.state_dict())
        lines, copied = path / TUNING / "metrics.jsonl", path / "metrics.jsonl"
        with open(lines, "rb") as source, atomic(copied) as target:
            shutil.copyfileobj(source, target)
        for leak in leaks:
            terminal.tell(f"warning: {leak.told}")
        counted = lengths(encode(run.vocabulary, self.captions), run.settings.maximum_words)
        dev = DevScores(laid, self.inputs, self.references)
        self.rows.see(self.module.backbone, self._photos(self.references))
        finish(result, best_scores(result), self.module, dev, self.captions, counted, leaks)

    def _keep_backbone(self, run: Run, folder: Path) -> Preprocessing:
        """Write the tuned backbone and what it is; give how features are made with it."""
        digest = write_tensors(folder / tuned.WEIGHTS, self.module.backbone.network.state_dict())
        # The captioner was scored on rows in float32 without flips (`SeenRows`), whatever it began
        # with.
        record = replace(self.record, weights_sha256=digest, precision="float32", flips=False)
        tuned.Tuning(
            preprocessing=record,
            began_with=self.record.weights_sha256,
            data=self.dataset.name,
            sources=self.dataset.sources,
            pictures=len(self.captions),
            words=len(run.vocabulary.words),
            made_by=f"miacap {__version__}",
        ).save(folder)
        return record

    def _photos(self, names: Sequence[str] | Mapping[str, Any]) -> PhotoBatches:
        tuning = self.settings.tuning
        assert tuning is not None
        return PhotoBatches(
            self.dataset.photos,
            {name: self.sums[name] for name in names},
            self.record,
            self.settings.pictures_per_batch,
            seed=self.settings.training.seed,
            flips=tuning.flips,
            crops=tuning.crops,
            crop_size=tuning.crop_size,
        )
