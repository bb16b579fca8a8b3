"""Train a captioner on a dataset whose features lie in a store."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from miacap import runs
from miacap.captioning.preparing import (
    ConceptFolder,
    Inputs,
    build_vocabulary,
    encode,
    with_captions,
)
from miacap.captioning.searching import search
from miacap.captioning.task import CaptionTask, negative_log_likelihood
from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.errors import DataError
from miacap.metrics import score
from miacap.runs import Run, RunSettings, write_card
from miacap.runs.folder import build
from miacap.settings import from_json
from miacap.text import Vocabulary
from miacap.training import FitResult, fit
from miacap.visual import Preprocessing

WATCHED = ("BLEU-4", "ROUGE-L", "CIDEr-D")
"""Dev scores after each epoch; the last one picks the best weights."""

_PICTURES_PER_SEARCH = 64


@dataclass
class DevScores:
    """Dev scores of a captioner: search, then score, then the loss on the references.

    Args:
        run: gives vocabulary, beam and limits.
        inputs: regions and concepts of the dev pictures.
        references: raw captions of each dev picture.
    """

    run: Run
    inputs: Inputs
    references: Mapping[str, tuple[str, ...]]

    def __call__(self, module: nn.Module) -> Mapping[str, float]:
        """Give WATCHED, the number of distinct captions and the mean loss (nats per word)."""
        settings, vocabulary = self.run.settings, self.run.vocabulary
        device = next(module.parameters()).device
        names = list(self.references)
        batches = self.inputs.batches(names, settings, batch_size=_PICTURES_PER_SEARCH)
        rows = search(
            module,
            (batch.pictures for batch in batches.ordered()),
            vocabulary,
            width=settings.beam,
            maximum=settings.maximum_words,
            device=device,
        )
        candidates = {row.id: row.caption or "" for row in rows}
        scores = score(dict(self.references), candidates, metrics=WATCHED)
        ids = encode(vocabulary, self.references)
        captioned = self.inputs.batches(names, settings, captions=ids)
        return {
            **{name: float(scores[name]) for name in WATCHED},
            "distinct": float(len(set(candidates.values()))),
            "loss per word": negative_log_likelihood(module, captioned.ordered(), device),
        }


def train(
    dataset: Dataset,
    regions: FeatureStore,
    folder: Path,
    settings: RunSettings,
    *,
    concepts: ConceptFolder | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> FitResult:
    """Train a captioner, or go on where an interrupted training stopped.

    Args:
        dataset: with a train and a dev split.
        regions: features of (at least) both splits.
        folder: the run folder.
        settings: the run's settings; its region width follows the store.
        concepts: trained concepts, for sources that read them.
        stop_after: stop after this many steps, resumable.
        quiet: show no progress.

    Returns:
        What `training.fit` gives; `best_scores` reads the dev numbers of its best epoch.

    Raises:
        DataError: a split without captions, pictures without features.
        RunError: the folder holds something else.
    """
    train_split, dev_split = dataset.split("train"), dataset.split("dev")
    vocabulary = build_vocabulary(train_split, settings.minimum_count)
    preprocessing = from_json(
        Preprocessing, regions.manifest.preprocessing, f"{regions.folder}/manifest"
    )
    settings = replace(settings, region_width=regions.manifest.width)
    _try(settings, vocabulary, regions, concepts)
    run = runs.create(
        folder,
        settings,
        vocabulary,
        preprocessing,
        dataset.sources,
        concepts.folder if concepts else None,
    )
    inputs = Inputs.of(regions, concepts.store if concepts else None, vocabulary)
    task = _task(run, inputs, train_split, dev_split)
    result = fit(task, settings.training, folder, quiet=quiet, stop_after=stop_after)
    if result.finished:
        write_card(folder, best_scores(result))
    return result


def best_scores(result: FitResult) -> dict[str, float]:
    """Give the dev numbers of the epoch whose weights were kept."""
    for line in result.history:
        if line["epoch"] == result.best_epoch:
            return {name: line[name] for name in (*WATCHED, "distinct", "loss per word")}
    return {}


def _try(
    settings: RunSettings,
    vocabulary: Vocabulary,
    regions: FeatureStore,
    concepts: ConceptFolder | None,
) -> None:
    """Encode one picture before anything is written: what cannot work says so at once."""
    module: Any = build(settings, len(vocabulary)).eval()
    inputs = Inputs.of(regions, concepts.store if concepts else None, vocabulary)
    names = regions.names[:1] if concepts is None else concepts.store.names[:1]
    batch = next(inputs.batches(names, settings).ordered())
    try:
        with torch.inference_mode():
            module.encode(batch.pictures)
    except DataError as error:
        if concepts is None:
            raise DataError(
                f"{settings.captioner} fed {settings.source!r}: {error} "
                "Trained concepts are given with --concepts FOLDER."
            ) from None
        raise


def _task(run: Run, inputs: Inputs, train_split: Dataset, dev_split: Dataset) -> CaptionTask:
    settings = run.settings
    references = {name: dev_split.captions[name] for name in with_captions(dev_split)}
    if not references:
        raise DataError(f"{dev_split.name}: the dev split has no captions; nothing to choose by.")
    torch.manual_seed(settings.training.seed)
    module = build(settings, len(run.vocabulary))
    captioned = with_captions(train_split)
    ids = encode(run.vocabulary, {name: train_split.captions[name] for name in captioned})
    return CaptionTask(
        module,
        inputs.batches(captioned, settings, captions=ids),
        DevScores(run, inputs, references),
        settings.label_smoothing,
        attention_penalty=settings.attention_penalty,
    )
