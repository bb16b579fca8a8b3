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
from miacap.captioning.inputs import Concepts, Inputs, StoredConcepts, Wanted
from miacap.captioning.outcome import finish
from miacap.captioning.reward import Reward
from miacap.captioning.self_critical import SelfCriticalTask
from miacap.captioning.validation import NUMBERS, SHOWN, WATCHED, DevScores
from miacap.captioning.word_vectors import WordVectors, read_word_vectors, table_of
from miacap.captioning.words import Lengths, build_vocabulary, covered, encode, lengths
from miacap.concepts import ConceptFolder, ConceptSource, check_same
from miacap.concepts.task import require_regions
from miacap.data import Dataset
from miacap.data.leaks import Leak
from miacap.data.leaks import find as find_leaks
from miacap.data.store import FeatureStore
from miacap.errors import DataError, SettingsError
from miacap.pictures import count_unmapped
from miacap.runs import Run, RunSettings, SelfCritical, VectorFile
from miacap.runs.folder import build, held, read_sources
from miacap.runs.kept_start import keep_start
from miacap.runs.overview import is_run
from miacap.runs.starting import begun, captioner_of, check_start, unfinished
from miacap.text import BOS, Vocabulary
from miacap.training import FitResult, Task, fit
from miacap.training.processes import join
from miacap.visual import tuned
from miacap.wording import all_of, by_number, counted, part


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
    require_regions(regions)
    if settings.tuning is not None:
        raise SettingsError("A backbone learns from photos, not from features: captioning.tune.")
    told = regions.manifest
    if start is not None:
        check_start(start, told.preprocessing, told.width, str(regions.folder), concepts)
    settings = begun(replace(settings, region_width=told.width), start)
    train_split, dev_split = dataset.split("train"), dataset.split("dev")
    notes: list[str] = []
    concepts = _concepts_to_read(settings, regions, concepts, notes)
    if start is None:
        vocabulary = build_vocabulary(train_split, settings.minimum_count)
    else:
        vocabulary = start.vocabulary
    settings, vectors = _vectors(word_vectors, vocabulary, settings)
    inputs = _inputs(settings, vocabulary, regions, concepts, concepts_of, notes)
    aside: list[str] = []
    captions, references = (_usable(part, inputs, aside) for part in (train_split, dev_split))
    if not references:
        raise DataError(f"{dev_split.name}: the dev split has no captions; nothing to choose by.")
    inputs.require([*captions, *references])
    _try(settings, vocabulary, inputs, next(iter(captions)))
    ids = encode(vocabulary, captions)
    counted = lengths(ids, settings.maximum_words)
    processes = join(settings.training.device)
    run = _unlaid(Path(folder), settings, vocabulary, regions, concepts)
    leaks: list[Leak] = []
    with ExitStack() as stack:

        def lay() -> None:
            nonlocal run
            stack.enter_context(held(folder))
            leaks.extend(find_leaks(dataset, regions.photos))
            run = _lay(run, regions, dataset, concepts, leaks)
            if start is not None:
                keep_start(start, run.folder)

        processes.from_main(lay)
        _tell(aside, [] if quiet else notes, counted, settings)
        if few := covered(ids, vocabulary, None if start is None else str(start.folder)):
            terminal.tell(f"warning: {few}.")
        if start is not None and not quiet:
            _tell_start(start, dataset)
        for leak in leaks:
            terminal.tell(f"warning: {leak.told}")
        if not quiet and (known := tuned.known(regions.folder, dataset.sources)):
            terminal.tell(f"note: {known}.")
        dev = DevScores(run, inputs, references)
        if vectors is not None and not quiet:
            has = part(len(vectors.ids), len(vocabulary.words), "word", "has", "have")
            terminal.tell(f"{has} a vector in {word_vectors}.")
        task = _task(run, inputs, captions, ids, dev, start, vectors)
        result = fit(task, settings.training, run.folder, quiet=quiet, stop_after=stop_after)

        def keep() -> None:
            runs.keep_settings(run)
            if result.finished:
                finish(result, best_scores(result), task.module, dev, captions, counted, leaks)

        processes.from_main(keep)
    return result


def _vectors(
    file: str | os.PathLike[str] | None, vocabulary: Vocabulary, settings: RunSettings
) -> tuple[RunSettings, WordVectors | None]:
    """Read the word vectors that a word table begins with, and write their file down."""
    if file is None:
        if settings.word_vectors is not None:
            raise SettingsError(
                f"The settings name the word vectors {settings.word_vectors.name!r}: give the file "
                "with --word-vectors."
            )
        return settings, None
    if settings.start is not None:
        raise SettingsError(
            "The run to begin with has trained its word table already; leave --word-vectors out."
        )
    vectors = read_word_vectors(file, vocabulary, settings)
    known = VectorFile(vectors.name, vectors.sha256, len(vectors.ids))
    return replace(settings, word_vectors=known), vectors


def best_scores(result: FitResult) -> dict[str, float]:
    """Give the dev numbers of the epoch whose weights were kept."""
    for line in result.history:
        if line["epoch"] == result.best_epoch:
            return {name: line[name] for name in (*WATCHED, *SHOWN) if name in line}
    return {}


def _concepts_to_read(
    settings: RunSettings,
    regions: FeatureStore,
    concepts: ConceptFolder | None,
    notes: list[str],
) -> ConceptFolder | None:
    """Give the concepts that the captioner reads, or None where it reads none."""
    wanted = Wanted.of(settings)
    fed = f"{settings.captioner} fed {settings.source!r}"
    if not wanted.any_concepts:
        if concepts is not None:
            notes.append(f"the concepts of {concepts.folder}, which {fed} does not look at")
        return None
    if concepts is None and settings.start is not None:
        raise DataError(
            f"The run {settings.start.run}, with which training begins, reads concepts, and none "
            "were given: give the folder of concepts that it was trained with: --concepts FOLDER"
        )
    if concepts is None:
        plain = captioners.reads(settings.captioner, "plain") == {"regions"}
        other = "feed it regions alone with --source plain, or " if plain else ""
        raise DataError(
            f"{fed} reads concepts, and none were given: {other}make them with `miacap concepts "
            "train DATA --features FEATURES -o FOLDER` and give them with --concepts FOLDER."
        )
    concepts.check_features(regions)
    if "scores" in wanted.reads and concepts.source.scores == "ranks":
        raise SettingsError(
            f"concept_input='probabilities', but the lists in {concepts.folder} have an order and "
            "no probabilities; leave concept_input at 'rows', or read lists with probabilities."
        )
    if not any(name in regions for name in concepts.store.names):
        raise DataError(
            f"No picture is both in {regions.folder} and in {concepts.folder}; make the concepts "
            "of these features' pictures."
        )
    return concepts


def _inputs(
    settings: RunSettings,
    vocabulary: Vocabulary,
    regions: FeatureStore,
    folder: ConceptFolder | None,
    concepts_of: Mapping[str, str] | None,
    notes: list[str],
) -> Inputs:
    concepts: Concepts | None = None
    if folder is not None:
        concepts = StoredConcepts.of(folder, vocabulary)
        if unmapped := count_unmapped(concepts.words):
            said = ("is no caption word", "are no caption words")
            notes.append(part(unmapped, len(concepts.words), "concept", *said))
    return Inputs(Wanted.of(settings), concepts, regions, concepts_of=concepts_of or {})


def _usable(part: Dataset, inputs: Inputs, notes: list[str]) -> dict[str, tuple[str, ...]]:
    """Give the captions of those pictures of a split that were not set aside."""
    captions = part.captions
    aside = inputs.set_aside(list(captions))
    if aside:
        split, first = part.pictures[0].split, next(iter(aside.values()))
        notes.append(
            f"{len(aside)} of {counted(len(captions), 'picture')} of {split}, the first: {first}"
        )
        if len(aside) == len(captions):
            raise DataError(
                f"{part.name}: {all_of(len(captions), 'captioned picture')} of {split} "
                f"{by_number(len(captions), 'was', 'were')} set aside when features or concepts "
                f"were made, the first: {first}"
            )
    return {name: texts for name, texts in captions.items() if name not in aside}


def _try(settings: RunSettings, vocabulary: Vocabulary, inputs: Inputs, name: str) -> None:
    """Send one picture through the untrained captioner: what cannot work says so at once."""
    module: Any = build(settings, len(vocabulary)).eval()
    with torch.inference_mode():
        module(inputs.stored([name]), torch.tensor([[[BOS]]]))


def _unlaid(
    folder: Path,
    settings: RunSettings,
    vocabulary: Vocabulary,
    regions: FeatureStore,
    concepts: ConceptFolder | None,
) -> Run:
    """Give the run as it will be; of several processes the main one alone lays its folder."""
    source = None if concepts is None else concepts.source
    return Run(folder, settings, vocabulary, regions.manifest.preprocessing, source)


def _lay(
    run: Run,
    regions: FeatureStore,
    dataset: Dataset,
    concepts: ConceptFolder | None,
    leaks: Sequence[Leak],
) -> Run:
    """Lay the run folder, with what it keeps of the concepts: the extractor, or their file."""
    if is_run(run.folder) and concepts is not None:
        before = ConceptSource.of(run.folder)
        if before is not None:
            check_same(before, concepts.source)
    return runs.create(
        run.folder,
        run.settings,
        run.vocabulary,
        run.preprocessing,
        dataset.sources,
        concepts,
        regions.folder,
        leaks,
    )


def _tell(
    aside: Sequence[str], notes: Sequence[str], counted: Lengths, settings: RunSettings
) -> None:
    for note in (*aside, *notes):
        terminal.tell(f"left out: {note}")
    if told := counted.told(settings.maximum_words):
        terminal.tell(f"warning: {told}.")


def _tell_start(start: Run, dataset: Dataset) -> None:
    """Say so where the run is not finished, or was trained on other files than these."""
    if told := unfinished(start):
        terminal.tell(f"note: {told}")
    known = {row.get("sha256") for row in read_sources(start.folder)}
    fresh = [source.name for source in dataset.sources if source.sha256 not in known]
    if fresh:
        terminal.tell(
            f"note: {start.folder} was not trained on {fresh[0]}; its words are kept, and whether "
            "it saw the dev pictures is not known."
        )


def _task(
    run: Run,
    inputs: Inputs,
    texts: Mapping[str, tuple[str, ...]],
    captions: Mapping[str, list[list[int]]],
    dev: DevScores,
    start: Run | None,
    vectors: WordVectors | None,
) -> Task:
    settings = run.settings
    torch.manual_seed(settings.training.seed)
    module: nn.Module = build(settings, len(run.vocabulary))
    if vectors is not None:
        vectors.fill(table_of(module, settings.captioner))
    if start is not None:
        assert settings.start is not None
        module.load_state_dict(captioner_of(start, settings.start).state_dict())
    objective, seed = settings.objective, settings.training.seed
    batches = inputs.batches(
        list(captions),
        captions=None if isinstance(objective, SelfCritical) else captions,
        batch_size=settings.pictures_per_batch,
        seed=seed,
        maximum=settings.maximum_words,
    )
    if isinstance(objective, SelfCritical):
        reward = Reward.of(run.vocabulary, texts, dev.references, inputs, objective, seed)
        return SelfCriticalTask(
            module, batches, reward, dev, settings.search, objective, evaluated=NUMBERS,
            shown=dev.examples,
        )  # fmt: skip
    regulariser = captioners.regulariser(settings.captioner)
    return CrossEntropyTask(
        module, batches, dev, objective, regulariser, numbers=NUMBERS, shown=dev.examples
    )
