"""The words that an extractor looks for (docs/concepts.md).

Training tokens by falling frequency without stop words, alphabetic only, surface forms as they
stand (zebra and zebras are two), at most so many, all of them caption words.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from miacap.concepts.stopwords import STOP_WORDS
from miacap.errors import DataError
from miacap.tables import read_text
from miacap.text import Vocabulary, tokenize


class ConceptVocabulary:
    """Concept words in order; the order is part of every model, because ties go by it.

    Args:
        words: each once, at least one.

    Raises:
        DataError: no word, or a word twice.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._index = {word: index for index, word in enumerate(self.words)}
        if not self.words:
            raise DataError("A concept vocabulary needs at least one word.")
        if len(self._index) != len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise DataError(f"The concept word {twice!r} is there twice; list each word once.")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConceptVocabulary) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    @classmethod
    def from_captions(
        cls,
        token_lists: Iterable[Sequence[str]],
        vocabulary: Vocabulary,
        maximum: int = 1000,
    ) -> "ConceptVocabulary":
        """Take the most frequent content words of tokenised training captions.

        Args:
            token_lists: of the training split alone.
            vocabulary: caption words; a concept is one of them.
            maximum: how many to keep; ties in alphabetical order.

        Raises:
            DataError: no content word is left.
        """
        counts = Counter(token for tokens in token_lists for token in tokens if is_content(token))
        known = [word for word in counts if word in vocabulary]
        if not known:
            raise DataError(
                "No content word of the training captions is in the caption vocabulary, so there "
                "is no concept to learn; lower minimum_count."
            )
        return cls(sorted(known, key=lambda word: (-counts[word], word))[:maximum])

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], vocabulary: Vocabulary | None = None
    ) -> "ConceptVocabulary":
        """Read a person's own words, one a line; empty lines and lines from # on are left out.

        Args:
            path: UTF-8 text.
            vocabulary: caption words; a line that is none of them is an error.

        Raises:
            DataError: with the line, for a word twice, several words, or no caption word.
        """
        words: dict[str, int] = {}
        for number, line in enumerate(read_text(path).split("\n"), start=1):
            word = line.partition("#")[0].strip().lower()
            if not word:
                continue
            where = f"{path}, line {number}"
            if tokenize(word) != [word]:
                raise DataError(f"{where}: {word!r} is not one word as captions have them.")
            if word in words:
                raise DataError(f"{where}: {word!r} is already on line {words[word]}.")
            if vocabulary is not None and word not in vocabulary:
                raise DataError(
                    f"{where}: {word!r} is no word of the caption vocabulary, so no captioner "
                    "could use it; remove it, or lower minimum_count."
                )
            words[word] = number
        if not words:
            raise DataError(f"{path}: there is no word in this file; write one a line.")
        return cls(list(words))

    def index(self, word: str) -> int | None:
        """Give the index of a word's score, None for a word that is no concept."""
        return self._index.get(word)

    def targets(self, captions: Sequence[Iterable[Sequence[str]]]) -> Bool[Tensor, "B A"]:
        """Say which words occur in any caption of each picture.

        Args:
            captions: a picture's tokenised captions, for B pictures.
        """
        targets = torch.zeros(len(captions), len(self), dtype=torch.bool)
        for row, token_lists in enumerate(captions):
            indices = {
                self._index[token]
                for tokens in token_lists
                for token in tokens
                if token in self._index
            }
            targets[row, list(indices)] = True
        return targets

    def ranked(self, scores: Float[Tensor, " A"], best: int = 10) -> list[tuple[str, float]]:
        """Give the best words of one picture with their probabilities, ties by concept index."""
        values, indices = scores.float().sort(descending=True, stable=True)
        return [
            (self.words[index], value)
            for index, value in zip(indices[:best].tolist(), values[:best].tolist(), strict=True)
        ]


def is_content(token: str) -> bool:
    """Say whether a token can be a concept: letters alone, and no stop word."""
    return token.isalpha() and token not in STOP_WORDS


def coverage(token_lists: Iterable[Sequence[str]], words: ConceptVocabulary) -> float:
    """Give the share of the captions' content words that are concepts."""
    tokens = [token for one in token_lists for token in one if is_content(token)]
    return sum(token in words for token in tokens) / len(tokens) if tokens else 0.0
