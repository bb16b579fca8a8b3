"""Embeddings of words, as spaCy's small English model has them.

A word has six features, each a text or a number: its norm (lower case; one spelling, one sign for
all currencies), first letter, last three letters, shape ("Xxxx", "dd"), that a blank follows, and
that it is no blank. Each feature is embedded by its hash, and one layer makes a word's 96 numbers
of them all.
"""

import importlib.util
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from miacap.metrics.spice.parsing import hashing
from miacap.metrics.spice.parsing.maxout import Maxout
from miacap.metrics.spice.parsing.weights import Floats, Weights

_LONG = 100  # letters of a word without a shape
_AT_MOST = 4  # equal signs of a shape side by side


class Embedding:
    """Words to vectors.

    Args:
        weights: of the model.
    """

    def __init__(self, weights: Weights) -> None:
        self._features = weights.features
        self._mixed = Maxout(weights.mixed)
        self._norms = weights.norms
        self._general = _general_norms()

    def of(self, words: Sequence[str]) -> Floats:
        """Embed words, none of them empty or blank: N x 96."""
        features: tuple[Callable[[str], str], ...] = (
            self._norm,
            lambda word: word[0],
            lambda word: word[-3:],
            shape,
        )
        parts = [
            self._embedded(column, [hashing.number(text(word)) for word in words])
            for column, text in enumerate(features)
        ]
        blank_follows, is_blank = (
            np.repeat(self._embedded(column, [value]), len(words), axis=0)
            for column, value in ((4, 1), (5, 0))
        )
        return self._mixed.of(np.concatenate((*parts, blank_follows, is_blank), axis=1))

    def _embedded(self, column: int, numbers: Sequence[int]) -> Floats:
        table, seed = self._features[column]
        rows = hashing.rows(np.array(numbers, np.uint64), seed, len(table))
        vectors = table[rows[:, 0]]
        for index in range(1, rows.shape[1]):
            vectors += table[rows[:, index]]
        return vectors

    def _norm(self, word: str) -> str:
        found = self._norms.get(hashing.number(word))
        return self._general.get(word, word.lower()) if found is None else found


def shape(word: str) -> str:
    """A word's letters as X, x and d, no more than four of a kind side by side."""
    if len(word) >= _LONG:
        return "LONG"
    return "".join(
        sign * min(len(list(group)), _AT_MOST) for sign, group in groupby(map(_sign, word))
    )


def _sign(letter: str) -> str:
    if letter.isalpha():
        return "X" if letter.isupper() else "x"
    return "d" if letter.isdigit() else letter


def _general_norms() -> dict[str, str]:
    """spaCy's norms of signs, from the file of its package (which imports nothing)."""
    found = importlib.util.find_spec("spacy")
    places = found.submodule_search_locations if found is not None else None
    path = Path((places or [""])[0]) / "lang" / "norm_exceptions.py"
    spec = importlib.util.spec_from_file_location("norm_exceptions", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be read; install spacy anew.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    norms: dict[str, str] = module.BASE_NORMS
    return norms
