"""Document frequencies of n-grams, for CIDEr-D on sets too small for frequencies of their own.

A file of frequencies is JSON: `{"format": 1, "pictures": N, "orders": 4,
"name": ..., "counts": {"a dog": 12, ...}}`; an n-gram's words are joined by one blank.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from miacap import files
from miacap.errors import DataError
from miacap.metrics.arrays import Floats
from miacap.metrics.corpus import Corpus
from miacap.metrics.ngrams import NGrams
from miacap.metrics.tokens import tokenised
from miacap.reading import parse_json
from miacap.tables.text import read_text
from miacap.wording import by_number


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many of `pictures` pictures each n-gram is in any reference.

    Attributes:
        counts: n-gram as a tuple of words (strings, or word ids for rewards) -> pictures.
        pictures: N of ln N; the self-critical literature often uses the training pictures.
        name: what a signature calls it.
    """

    counts: Mapping[tuple[object, ...], float]
    pictures: float
    name: str = "fixed"

    @property
    def label(self) -> str:
        """What a signature says: `df:NAME/N`, as two sets may have one name."""
        return f"df:{self.name}/{self.pictures:g}"

    @classmethod
    def count(
        cls, references: Iterable[Iterable[Sequence[object]]], orders: int = 4, name: str = "fixed"
    ) -> "DocumentFrequencies":
        """Count over pictures; each is a list of references, each a list of words (or ids)."""
        counts: Counter[tuple[object, ...]] = Counter()
        pictures = 0
        for picture in references:
            pictures += 1
            counts.update({gram for words in picture for gram in grams(words, orders)})
        return cls(counts, float(pictures), name)

    @classmethod
    def of_captions(
        cls, references: Iterable[Sequence[str]], name: str, tokenized: bool = False
    ) -> "DocumentFrequencies":
        """Count over pictures, each a list of captions, which are tokenised first.

        Args:
            references: captions of each picture.
            name: what a signature calls them.
            tokenized: they are tokens joined by blanks already.
        """
        lists = (some if tokenized else tokenised(some) for some in references)
        return cls.count(([text.split() for text in some] for some in lists), name=name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file of frequencies (words must be strings)."""
        files.output_json(
            path,
            {
                "format": 1,
                "name": self.name,
                "pictures": self.pictures,
                "counts": {" ".join(map(str, gram)): n for gram, n in self.counts.items()},
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "DocumentFrequencies":
        """Read a file of frequencies, plain or in gzip. Raises DataError."""
        value = parse_json(read_text(path), str(path))
        if not isinstance(value, dict) or value.get("format") != 1:
            raise DataError(
                f"{path}: not a file of document frequencies; write one with "
                "`miacap score ... --write-df FILE` from the references of a whole set."
            )
        pictures, counts = value.get("pictures"), value.get("counts")
        if not isinstance(counts, dict):
            raise DataError(f"{path}: 'counts' must map n-grams to numbers of pictures.")
        by_words = {
            tuple(gram.split(" ")): _positive(number, f"{path}: the count of {gram!r}")
            for gram, number in counts.items()
        }
        total = _positive(pictures, f"{path}: 'pictures'")
        most = max(by_words, key=by_words.__getitem__, default=())
        if by_words.get(most, 0.0) > total:
            raise DataError(
                f"{path}: {' '.join(most)!r} is in {by_words[most]:g} of {total:g} "
                f"{by_number(total, 'picture', 'pictures')}; "
                "'pictures' must be the number that the counts were taken from."
            )
        return cls(by_words, total, str(value.get("name", "fixed")))

    def of_ngrams(self, corpus: Corpus, ngrams: NGrams) -> Floats:
        """Frequencies of the corpus' n-grams of one order, 0 where unknown."""
        result = np.zeros(len(ngrams.document_frequency))
        heads = np.flatnonzero(np.diff(ngrams.gram, prepend=-1))
        windows = corpus.words[ngrams.first[heads][:, None] + np.arange(ngrams.order)]
        counts = self._by_text
        for gram, numbers in enumerate(windows.tolist()):
            key = " ".join([corpus.vocabulary[number] for number in numbers])
            result[gram] = counts.get(key, 0.0)
        return result

    @cached_property
    def _by_text(self) -> dict[str, float]:
        return {" ".join(map(str, gram)): n for gram, n in self.counts.items()}


def grams(words: Sequence[object], orders: int) -> Iterable[tuple[object, ...]]:
    """All n-grams of a sentence, orders 1, 2, ... `orders`."""
    for n in range(1, orders + 1):
        for start in range(len(words) - n + 1):
            yield tuple(words[start : start + n])


def _positive(value: object, what: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and number > 0:
            return number
    raise DataError(f"{what} must be a number over 0, not {value!r}.")
