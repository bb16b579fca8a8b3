"""What an extractor is to find: the words of a dataset's captions, and which pictures name them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from miacap.concepts.vocabulary import ConceptVocabulary, coverage
from miacap.data import Dataset
from miacap.text import Vocabulary, tokenize_all


@runtime_checkable
class Choosing(Protocol):
    """Settings that choose the words."""

    @property
    def words(self) -> int:
        """How many, at most."""

    @property
    def words_file(self) -> str | None:
        """A file of words, in place of the most frequent ones."""

    @property
    def minimum_count(self) -> int:
        """How often a word occurs in the training captions, at least."""


@dataclass(frozen=True)
class Wanted:
    """Words, and the pictures that name them.

    Attributes:
        words: the concepts.
        targets: which of them a picture's captions name, A of them, by picture.
        covered: share of the training captions' content words that are concepts.
    """

    words: ConceptVocabulary
    targets: Mapping[str, Tensor]
    covered: float

    @classmethod
    def of(
        cls, dataset: Dataset, splits: Mapping[str, Sequence[str]], settings: Choosing
    ) -> "Wanted":
        """Take the words of the training captions.

        Args:
            dataset: has the captions.
            splits: the captioned pictures of each split, "train" among them.
            settings: which words.

        Raises:
            DataError: there is no word, or the file of words is none.
        """
        names = [name for group in splits.values() for name in group]
        tokens = _tokens(dataset, names)
        flat = [one for name in splits["train"] for one in tokens[name]]
        vocabulary = Vocabulary.from_captions(flat, minimum=settings.minimum_count)
        if settings.words_file is not None:
            words = ConceptVocabulary.from_file(settings.words_file, vocabulary)
        else:
            words = ConceptVocabulary.from_captions(flat, vocabulary, settings.words)
        targets = words.targets([tokens[name] for name in names])
        return cls(words, dict(zip(names, targets, strict=True)), coverage(flat, words))


def _tokens(dataset: Dataset, names: list[str]) -> dict[str, list[list[str]]]:
    captions = dataset.captions
    flat = iter(tokenize_all([caption for name in names for caption in captions[name]]))
    return {name: [next(flat) for _ in captions[name]] for name in names}
