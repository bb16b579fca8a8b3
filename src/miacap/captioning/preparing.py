"""From captions and stores to what training reads: vocabulary, word ids, batches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from miacap.data import Dataset
from miacap.data.batches import Batches
from miacap.data.store import FeatureStore
from miacap.errors import DataError, RunError
from miacap.runs.folder import concept_words
from miacap.runs.settings import RunSettings
from miacap.text import Vocabulary, tokenize_all


@dataclass(frozen=True)
class ConceptFolder:
    """What `miacap concepts train` left: scores of every picture, and the extractor."""

    folder: Path
    store: FeatureStore

    @classmethod
    def open(cls, folder: Path) -> "ConceptFolder":
        """Open a folder of trained concepts. Raises RunError where it is none."""
        if not (folder / "extractor.safetensors").is_file():
            raise RunError(
                f"{folder}: no trained concepts here; make them with: miacap concepts train"
            )
        return cls(folder, FeatureStore.open(folder / "scores"))


def encode(
    vocabulary: Vocabulary, captions: Mapping[str, Iterable[str]]
) -> dict[str, list[list[int]]]:
    """Turn each picture's captions into word ids, without BOS and EOS."""
    ids = list(captions)
    flat = [caption for name in ids for caption in captions[name]]
    tokens = iter(tokenize_all(flat))
    return {name: [vocabulary.encode(next(tokens)) for _ in captions[name]] for name in ids}


def build_vocabulary(train: Dataset, minimum_count: int) -> Vocabulary:
    """Collect the words of the training captions. Raises DataError where none is left."""
    captions = [caption for texts in train.captions.values() for caption in texts]
    if not captions:
        raise DataError(f"{train.name}: the training split has no captions; nothing to learn from.")
    vocabulary = Vocabulary.from_captions(tokenize_all(captions), minimum=minimum_count)
    if not vocabulary.words:
        raise DataError(
            f"{train.name}: no word occurs {minimum_count} times in {len(captions)} captions; "
            "lower it with --set minimum_count=1."
        )
    return vocabulary


def with_captions(dataset: Dataset) -> list[str]:
    """Give the ids of pictures that have at least one caption."""
    return [entry.id for entry in dataset.pictures if entry.captions]


@dataclass(frozen=True)
class Inputs:
    """The stores that a captioner reads, and how concepts become caption words."""

    regions: FeatureStore
    concepts: FeatureStore | None
    concept_words: Tensor | None

    @classmethod
    def of(
        cls, regions: FeatureStore, concepts: FeatureStore | None, vocabulary: Vocabulary
    ) -> "Inputs":
        """Join stores with a caption vocabulary."""
        if concepts is None:
            return cls(regions, None, None)
        words = concepts.manifest.words
        if words is None:
            raise RunError("The concept store names no words; make it again.")
        return cls(regions, concepts, concept_words(vocabulary, words))

    def batches(
        self,
        ids: Sequence[str],
        settings: RunSettings,
        captions: Mapping[str, list[list[int]]] | None = None,
        batch_size: int | None = None,
    ) -> Batches:
        """Make batches of these pictures; with captions for training, without for search."""
        return Batches(
            self.regions,
            ids,
            captions=captions,
            concepts=self.concepts,
            concept_words=self.concept_words,
            rows=settings.rows,
            concepts_per_picture=settings.concepts,
            batch_size=batch_size or settings.pictures_per_batch,
            seed=settings.training.seed,
            maximum=settings.maximum_words,
        )
