"""Train a captioner on a dataset whose features lie in a store."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from miacap import captioners, runs, terminal
from miacap.captioning.preparing import (
    Inputs,
    build_vocabulary,
    encode,
    reads_probabilities,
    set_aside,
)
from miacap.captioning.searching import search
from miacap.captioning.task import CaptionTask, negative_log_likelihood
from miacap.concepts import ConceptFolder, ConceptSource
from miacap.concepts.description import check_same
from miacap.concepts.task import require_regions
from miacap.data import Dataset
from miacap.data.features import Record
from miacap.data.store import FeatureStore
from miacap.errors import DataError, SettingsError
from miacap.metrics import score
from miacap.pictures import count_unmapped
from miacap.runs import Run, RunSettings, write_card
from miacap.runs.folder import build
from miacap.text import BOS, Vocabulary
from miacap.training import FitResult, fit

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
    folder: str | os.PathLike[str],
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
        concepts: trained or read from a file, for sources that read them; where the captioner
            does not look at them, they are left out.
        stop_after: stop after this many steps, resumable.
        quiet: show no progress, and not which concepts are left out.

    Pictures that a store has set aside (broken photos, no list of concepts) are left out, and
    standard error says so.

    Returns:
        What `training.fit` gives; `best_scores` reads the dev numbers of its best epoch.

    Raises:
        DataError: a split without captions, pictures without features.
        RunError: the folder holds something else, or concepts of other features.
    """
    require_regions(regions)
    place = Path(folder)
    train_split, dev_split = dataset.split("train"), dataset.split("dev")
    vocabulary = build_vocabulary(train_split, settings.minimum_count)
    preprocessing = regions.manifest.preprocessing
    settings = replace(settings, region_width=regions.manifest.width)
    notes: list[str] = []
    concepts = _read(settings, vocabulary, regions, concepts, notes)
    inputs = Inputs.of(regions, concepts.store if concepts else None, vocabulary)
    aside: list[str] = []
    splits = [_usable(part, inputs, aside) for part in (train_split, dev_split)]
    if not splits[1]:
        raise DataError(f"{dev_split.name}: the dev split has no captions; nothing to choose by.")
    inputs.require([name for captions in splits for name in captions], settings)
    run = _lay(place, settings, vocabulary, preprocessing, dataset, concepts)
    if inputs.concept_words is not None and (unmapped := count_unmapped(inputs.concept_words)):
        notes.append(f"{unmapped} of {len(inputs.concept_words)} concepts are no caption words")
    for note in [*aside, *([] if quiet else notes)]:
        terminal.tell(f"left out: {note}")
    task = _task(run, inputs, *splits)
    result = fit(task, settings.training, place, quiet=quiet, stop_after=stop_after)
    if result.finished:
        write_card(place, best_scores(result))
    return result


def best_scores(result: FitResult) -> dict[str, float]:
    """Give the dev numbers of the epoch whose weights were kept."""
    for line in result.history:
        if line["epoch"] == result.best_epoch:
            return {name: line[name] for name in (*WATCHED, "distinct", "loss per word")}
    return {}


def _read(
    settings: RunSettings,
    vocabulary: Vocabulary,
    regions: FeatureStore,
    concepts: ConceptFolder | None,
    notes: list[str],
) -> ConceptFolder | None:
    """Give the concepts that the captioner looks at, or None.

    One picture is tried before anything is written: what cannot work says so at once.
    """
    module: Any = build(settings, len(vocabulary)).eval()
    if concepts is None:
        try:
            _logits(module, Inputs.of(regions, None, vocabulary), regions.names[:1], settings)
        except DataError as error:
            raise DataError(
                f"{settings.captioner} fed {settings.source!r}: {error} "
                "Trained concepts are given with --concepts FOLDER."
            ) from None
        return None
    names = [name for name in concepts.store.names if name in regions][:1]
    if not names:
        raise DataError(
            f"No picture is both in {regions.folder} and in {concepts.folder}; make the concepts "
            "of these features' pictures."
        )
    try:
        bare = _logits(module, Inputs.of(regions, None, vocabulary), names, settings)
    except Exception:  # whatever it is that a captioner of one's own does without concepts
        bare = None
    inputs = Inputs.of(regions, concepts.store, vocabulary)
    if bare is not None and torch.equal(bare, _logits(module, inputs, names, settings)):
        notes.append(
            f"the concepts of {concepts.folder}, which {settings.captioner} fed "
            f"{settings.source!r} does not look at"
        )
        return None
    concepts.check_features(regions)
    if concepts.source.scores == "ranks":
        _refuse_ranks(settings, concepts)
    inputs.require(names, settings)
    _logits(module, inputs, names, settings)
    return concepts


def _logits(module: Any, inputs: Inputs, names: Sequence[str], settings: RunSettings) -> Tensor:
    batch = next(inputs.batches(names, settings).ordered())
    with torch.inference_mode():
        logits: Tensor = module(batch.pictures, torch.tensor([[[BOS]]]))
    return logits


def _refuse_ranks(settings: RunSettings, concepts: ConceptFolder) -> None:
    if reads_probabilities(settings):
        raise SettingsError(
            f"concept_input='probabilities', but the lists in {concepts.folder} have an order and "
            "no probabilities; leave concept_input at 'rows', or read lists with probabilities."
        )


def _usable(part: Dataset, inputs: Inputs, notes: list[str]) -> dict[str, tuple[str, ...]]:
    """Give the captions of those pictures of a split that were not set aside."""
    captions = part.captions
    aside = set_aside(captions, inputs.regions, inputs.concepts)
    if aside:
        split, first = part.pictures[0].split, next(iter(aside.values()))
        notes.append(f"{len(aside)} of {len(captions)} pictures of {split}, the first: {first}")
    if captions and len(aside) == len(captions):
        raise DataError(
            f"{part.name}: all {len(captions)} captioned pictures of {split} were set aside when "
            f"features or concepts were made, the first: {first}"
        )
    return {name: texts for name, texts in captions.items() if name not in aside}


def _lay(
    folder: Path,
    settings: RunSettings,
    vocabulary: Vocabulary,
    preprocessing: Record,
    dataset: Dataset,
    concepts: ConceptFolder | None,
) -> Run:
    """Lay the run folder, with what it keeps of the concepts: the extractor, or their file."""
    source = concepts.source if concepts is not None else None
    before = ConceptSource.of(folder)
    if source is not None and before is not None:
        check_same(before, source)
    run = runs.create(
        folder,
        settings,
        vocabulary,
        preprocessing,
        dataset.sources,
        concepts.folder if concepts is not None and not concepts.source.is_lists else None,
    )
    if source is not None and source.is_lists:
        source.save(folder)
    return run


def _task(
    run: Run,
    inputs: Inputs,
    captions: Mapping[str, tuple[str, ...]],
    references: Mapping[str, tuple[str, ...]],
) -> CaptionTask:
    settings = run.settings
    torch.manual_seed(settings.training.seed)
    module = build(settings, len(run.vocabulary))
    ids = encode(run.vocabulary, captions)
    return CaptionTask(
        module,
        inputs.batches(list(captions), settings, captions=ids),
        DevScores(run, inputs, references),
        settings.label_smoothing,
        attention_penalty=settings.attention_penalty,
        regulariser=captioners.regulariser(settings.captioner),
    )
