"""From captions and stores to what training reads: vocabulary, word ids, batches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from miacap import captioners
from miacap.captioning.listed import ListedBatches, require_lists
from miacap.data import Dataset
from miacap.data.batches import Batches
from miacap.data.store import FeatureStore
from miacap.errors import DataError, RunError
from miacap.runs.folder import concept_words
from miacap.runs.settings import RunSettings
from miacap.text import Vocabulary, tokenize_all


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


def set_aside(names: Iterable[str], *stores: FeatureStore | None) -> dict[str, str]:
    """Give those pictures that a store was told to leave out, with the reason.

    A picture that a store never heard of is not among them: that is an extraction not finished.
    """
    reasons: dict[str, str] = {}
    for store in stores:
        if store is not None:
            known = store.set_aside
            reasons = {name: known[name] for name in names if name in known} | reasons
    return reasons


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

    @property
    def listed(self) -> bool:
        """Whether the concepts are lists of unequal length, read from a file."""
        return self.concepts is not None and self.concepts.manifest.extractor is None

    def require(self, ids: Sequence[str], settings: RunSettings) -> None:
        """See that every picture has the rows and as many concepts as the settings want.

        Raises:
            DataError: absent pictures, or lists that are too short.
        """
        self.regions.require(ids)
        if self.concepts is not None:
            self.concepts.require(ids)
            if self.listed:
                assert self.concept_words is not None
                require_lists(self.concepts, self.concept_words, ids, self.regions, settings.rows)

    def batches(
        self,
        ids: Sequence[str],
        settings: RunSettings,
        captions: Mapping[str, list[list[int]]] | None = None,
        batch_size: int | None = None,
    ) -> Batches:
        """Make batches of these pictures; with captions for training, without for search."""
        kind = ListedBatches if self.listed else Batches
        return kind(
            self.regions,
            ids,
            captions=captions,
            concepts=self.concepts,
            concept_words=self.concept_words,
            rows=settings.rows,
            concepts_per_picture=settings.concepts,
            batch_size=batch_size or settings.pictures_per_batch,
            seed=settings.training.seed,
            keep_scores=self.listed or reads_probabilities(settings),
            maximum=settings.maximum_words,
        )


def reads_probabilities(settings: RunSettings) -> bool:
    """Say whether the captioner reads the scores of all concepts, rather than the best words."""
    return "scores" in captioners.reads(settings.captioner, settings.source, **settings.sizes)
