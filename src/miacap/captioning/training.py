"""Train a captioner on a dataset whose features lie in a store."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from miacap import captioners, runs, terminal
from miacap.captioning.cross_entropy import CrossEntropyTask
from miacap.captioning.material import Material, gathered
from miacap.captioning.outcome import behind, finish
from miacap.captioning.reward import Reward
from miacap.captioning.self_critical import SelfCriticalTask
from miacap.captioning.validation import NUMBERS, SHOWN, WATCHED, DevScores
from miacap.captioning.word_vectors import table_of
from miacap.captioning.words import Lengths, covered, lengths
from miacap.concepts import ConceptFolder, ConceptSource, check_same
from miacap.data import Dataset
from miacap.data.leaks import Leak
from miacap.data.leaks import find as find_leaks
from miacap.data.store import FeatureStore
from miacap.runs import Run, RunSettings, SelfCritical
from miacap.runs.folder import build, held
from miacap.runs.idle import without_effect
from miacap.runs.kept_start import keep_start
from miacap.runs.overview import is_run
from miacap.runs.starting import called, captioner_of, notes, seeking
from miacap.settings import to_json
from miacap.training import FitResult, Task, fit
from miacap.training.processes import join
from miacap.visual import tuned
from miacap.wording import part


def train(
    dataset: Dataset,
    regions: FeatureStore,
    folder: str | os.PathLike[str],
    settings: RunSettings,
    *,
    concepts: ConceptFolder | None = None,
    concepts_of: Mapping[str, str] | None = None,
    start: Run | None = None,
    word_vectors: str | os.PathLike[str] | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> FitResult:
    """Train a captioner, or go on where an interrupted training stopped.

    Args:
        dataset: with a train and a dev split.
        regions: features of (at least) both splits.
        folder: the run folder.
        settings: the run's settings; its region width follows the store.
        concepts: trained or read from a file, for captioners that read them; where the captioner
            does not, they are left out.
        concepts_of: whose concepts a picture gets where not its own; for controls.
        start: a trained run whose best weights, words, features and concepts training begins
            with (`runs.continued` gives settings for it); None: weights are drawn.
        word_vectors: a file of start values for the word table (`captioning/word_vectors.py`).
        stop_after: stop after this many steps, resumable.
        quiet: show no progress, and not which concepts are left out.

    Several processes that were launched together train it together (`training.processes`); each
    calls this alike.

    Pictures that a store has set aside (broken photos, no list of concepts) are left out, and
    standard error says so.

    Returns:
        What `training.fit` gives; `best_scores` reads the dev numbers of its best epoch.

    Raises:
        DataError: a split without captions, pictures without features, no concepts for a
            captioner that reads them.
        RunError: the folder holds something else, or another command is at work in it; or
            concepts of other features; or features or concepts that are not those of `start`.
        SettingsError: settings that do not go together, or not with `start`.
    """
    found = gathered(dataset, regions, settings, concepts, concepts_of, start, word_vectors)
    counted = lengths(found.ids, found.settings.maximum_words)
    processes = join(found.settings.training.device)
    run = _unlaid(Path(folder), found)
    leaks: list[Leak] = []
    with ExitStack() as stack:

        def lay() -> dict[str, Any]:
            nonlocal run
            stack.enter_context(held(folder))
            leaks.extend(find_leaks(dataset, regions.photos))
            run = _lay(run, found, leaks)
            if start is not None:
                keep_start(start, run.folder)
            return to_json(found.settings.objective)

        objective = processes.from_main(lay)
        found = replace(found, settings=seeking(found.settings, objective))
        run = replace(run, settings=seeking(run.settings, objective))
        _tell(found, counted, leaks, quiet)
        dev = DevScores(run, found.inputs, found.references)
        task = _task(run, found, dev)
        result = fit(task, found.settings.training, run.folder, quiet=quiet, stop_after=stop_after)

        def keep() -> None:
            runs.keep_settings(run)
            if result.finished:
                best, captions = best_scores(result), found.captions
                finish(result, best, task.module, dev, captions, counted, leaks)
                if start is not None and (told := behind(start, run, best)):
                    terminal.tell(f"warning: {told}")

        processes.from_main(keep)
    return result


def best_scores(result: FitResult) -> dict[str, float]:
    """Give the dev numbers of the epoch whose weights were kept."""
    for line in result.history:
        if line["epoch"] == result.best_epoch:
            return {name: line[name] for name in (*WATCHED, *SHOWN) if name in line}
    return {}


def _unlaid(folder: Path, found: Material) -> Run:
    """Give the run as it will be; of several processes the main one alone lays its folder."""
    source = None if found.concepts is None else found.concepts.source
    preprocessing = found.regions.manifest.preprocessing
    return Run(folder, found.settings, found.vocabulary, preprocessing, source)


def _lay(run: Run, found: Material, leaks: Sequence[Leak]) -> Run:
    """Lay the run folder, with what it keeps of the concepts: the extractor, or their file."""
    if is_run(run.folder) and found.concepts is not None:
        before = ConceptSource.of(run.folder)
        if before is not None:
            check_same(before, found.concepts.source)
    return runs.create(
        run.folder,
        run.settings,
        run.vocabulary,
        run.preprocessing,
        found.dataset.sources,
        found.concepts,
        found.regions.folder,
        leaks,
    )


def _tell(found: Material, counted: Lengths, leaks: Sequence[Leak], quiet: bool) -> None:
    """Say on standard error what a reader of the scores has to know of what is learned from."""
    start, vocabulary, vectors = found.start, found.vocabulary, found.vectors
    for note in (*found.aside, *(() if quiet else found.notes)):
        terminal.tell(f"left out: {note}")
    if told := counted.told(found.settings.maximum_words):
        terminal.tell(f"warning: {told}.")
    if few := covered(found.ids, vocabulary, None if start is None else called(start)):
        terminal.tell(f"warning: {few}.")
    if start is not None and not quiet:
        for told in notes(start, found.settings.objective, found.dataset.sources):
            terminal.tell(f"note: {told}")
    for told in () if quiet else without_effect(found.settings, start):
        terminal.tell(f"note: {told}.")
    for leak in leaks:
        terminal.tell(f"warning: {leak.told}")
    if not quiet and (known := tuned.known(found.regions.folder, found.dataset.sources)):
        terminal.tell(f"note: {known}.")
    if vectors is not None and not quiet:
        has = part(len(vectors.ids), len(vocabulary.words), "word", "has", "have")
        terminal.tell(f"{has} a vector in {found.vector_file}.")


def _task(run: Run, found: Material, dev: DevScores) -> Task:
    settings, start, captions = run.settings, found.start, found.ids
    torch.manual_seed(settings.training.seed)
    module: nn.Module
    if start is None:
        module = build(settings, len(run.vocabulary))
    else:
        module = captioner_of(start, settings)
    if found.vectors is not None:
        found.vectors.fill(table_of(module, settings.captioner))
    objective, seed = settings.objective, settings.training.seed
    batches = found.inputs.batches(
        list(captions),
        captions=None if isinstance(objective, SelfCritical) else captions,
        batch_size=settings.pictures_per_batch,
        seed=seed,
        maximum=settings.maximum_words,
    )
    if isinstance(objective, SelfCritical):
        reward = Reward.of(
            run.vocabulary, found.captions, dev.references, found.inputs, objective, seed
        )
        return SelfCriticalTask(
            module, batches, reward, dev, settings.search, objective, evaluated=NUMBERS,
            shown=dev.examples,
        )  # fmt: skip
    regulariser = captioners.regulariser(settings.captioner)
    return CrossEntropyTask(
        module, batches, dev, objective, regulariser, numbers=NUMBERS, shown=dev.examples
    )
