"""What a training learns from: settings, words, inputs and captions that go together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from miacap import captioners
from miacap.captioning.inputs import Concepts, Inputs, StoredConcepts, Wanted
from miacap.captioning.word_vectors import WordVectors, read_word_vectors
from miacap.captioning.words import build_vocabulary, encode
from miacap.concepts import ConceptFolder
from miacap.concepts.task import require_regions
from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.errors import DataError, SettingsError
from miacap.pictures import count_unmapped
from miacap.runs import Run, RunSettings, VectorFile
from miacap.runs.folder import build
from miacap.runs.starting import begun, check_start
from miacap.text import BOS, Vocabulary
from miacap.wording import all_of, by_number, counted, part

__all__ = ["Material", "gathered"]


@dataclass(frozen=True)
class Material:
    """What one training learns from and is chosen by.

    Attributes:
        dataset, regions, start: as given to `train`.
        settings: of the run: their region width is the store's, their start is `start`.
        vocabulary: of the training captions, or of `start`.
        vectors: start values of the word table.
        vector_file: the file of these, as it was named.
        concepts: None where the captioner reads none.
        inputs: regions and concepts as tensors.
        captions: texts of the training pictures that were not set aside.
        ids: the same as words of the vocabulary.
        references: texts of the dev pictures that were not set aside.
        aside: pictures that were, in words.
        notes: which concepts are left out, in words.
    """

    dataset: Dataset
    regions: FeatureStore
    start: Run | None
    settings: RunSettings
    vocabulary: Vocabulary
    vectors: WordVectors | None
    vector_file: str | os.PathLike[str] | None
    concepts: ConceptFolder | None
    inputs: Inputs
    captions: Mapping[str, tuple[str, ...]]
    ids: Mapping[str, list[list[int]]]
    references: Mapping[str, tuple[str, ...]]
    aside: tuple[str, ...]
    notes: tuple[str, ...]


def gathered(
    dataset: Dataset,
    regions: FeatureStore,
    settings: RunSettings,
    concepts: ConceptFolder | None,
    concepts_of: Mapping[str, str] | None,
    start: Run | None,
    word_vectors: str | os.PathLike[str] | None,
) -> Material:
    """Bring together what a training is given, and see that it goes together.

    Args and errors: see `training.train`. Nothing is written.
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
    return Material(
        dataset, regions, start, settings, vocabulary, vectors, word_vectors, concepts, inputs,
        captions, ids, references, tuple(aside), tuple(notes),
    )  # fmt: skip


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
