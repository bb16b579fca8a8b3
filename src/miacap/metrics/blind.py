"""Two captioners that see nothing: a constant caption, and one's own captions shuffled.

A trained captioner that does not beat both has not learnt to look.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import exp, log, sqrt
from typing import TypeVar

import numpy as np

from miacap.metrics.corpus import Corpus
from miacap.metrics.ngrams import distinct
from miacap.text import tokenize_all

T = TypeVar("T")

_ORDERS = 4
_SIGMA = 6.0


def derangement(items: Sequence[T], seed: int = 0) -> list[T]:
    """Shuffle so that nothing stays where it was.

    Args:
        items: at least two.
        seed: of the draw.

    Raises:
        ValueError: fewer than two items.
    """
    if len(items) < 2:
        raise ValueError(f"a shuffle without fixed points needs two items, not {len(items)}")
    order = list(items)
    generator = random.Random(seed)
    # Sattolo's algorithm: one cycle through all items, so none keeps its index.
    for last in range(len(order) - 1, 0, -1):
        other = generator.randrange(last)
        order[last], order[other] = order[other], order[last]
    return order


def shuffled(candidates: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Give every picture the caption of another one (a seeded shuffle without fixed points).

    Raises ValueError for fewer than two pictures.
    """
    return dict(zip(candidates, derangement(list(candidates.values()), seed), strict=True))


def best_constant(captions: Mapping[str, Sequence[str]]) -> str:
    """Give the caption that, said of every picture, has the best mean CIDEr-D on these references.

    Document frequencies are those of the pictures given. Exact, and quick: a candidate's
    score is a sum over its n-grams of masses that depend only on n-gram, its count in the
    candidate and the reference's length, so these masses are summed once. That is done in numpy;
    where several captions come out as good, but for rounding, they are summed once more in the
    order of the captions, so that the choice never depends on how numpy adds.

    Raises ValueError where there is no caption.
    """
    flat = [text for texts in captions.values() for text in texts]
    if not flat:
        raise ValueError("no captions to choose from")
    tokens = iter(tokenize_all(flat))
    pictures = [[next(tokens) for _ in texts] for texts in captions.values()]
    words = [reference for references in pictures for reference in references]
    near = _best(words, [len(references) for references in pictures])
    if len({tuple(words[index]) for index in near}) > 1:
        masses = _Masses([[_ngrams(words) for words in references] for references in pictures])
        near.sort(key=lambda index: (-masses.score(words[index]), index))
    return flat[near[0]]


def _best(words: Sequence[Sequence[str]], sizes: Sequence[int]) -> list[int]:
    """Give the captions whose score is the best but for rounding, in their order.

    Args:
        words: tokens of each caption, picture by picture.
        sizes: captions of each picture.
    """
    corpus = _corpus(words, sizes)
    pairs = np.maximum(corpus.lengths - 1, 0)
    share = np.repeat(1 / np.maximum(sizes, 1), sizes)
    total = np.zeros(len(words))
    for grams in distinct(corpus, _ORDERS):
        idf = np.log(corpus.pictures) - np.log(grams.document_frequency[grams.gram])
        norm = np.sqrt(np.bincount(grams.sentence, (grams.count * idf) ** 2, minlength=len(words)))
        rows = np.flatnonzero(norm[grams.sentence] > 0)
        sentence, count = grams.sentence[rows], grams.count[rows]
        gain = share[sentence] * count * idf[rows] ** 2 / norm[sentence]
        # One entry for each k up to the count: what a caption gains that holds the n-gram k times.
        entry = np.repeat(np.arange(len(rows)), count)
        k = np.arange(len(entry)) - np.repeat(np.cumsum(count) - count, count)
        _, which = np.unique(
            grams.gram[rows][entry] * (int(count.max(initial=0)) + 1) + k, return_inverse=True
        )
        gain, sentence = gain[entry], sentence[entry]
        for length in np.unique(pairs):
            penalty = np.exp(-((pairs[sentence] - length) ** 2) / (2 * _SIGMA**2))
            mass = np.bincount(which, gain * penalty)
            own = np.flatnonzero(pairs[sentence] == length)
            summed = np.bincount(sentence[own], mass[which[own]], minlength=len(words))
            total += np.divide(summed, norm, out=np.zeros(len(words)), where=norm > 0)
    return np.flatnonzero(total >= total.max() * (1 - 1e-9)).tolist()


def _corpus(words: Sequence[Sequence[str]], sizes: Sequence[int]) -> Corpus:
    """Number the words; no caption is a candidate."""
    number: dict[str, int] = {}
    ids = [number.setdefault(word, len(number)) for caption in words for word in caption]
    return Corpus(
        np.array(ids, np.int64),
        np.array([len(caption) for caption in words], np.int64),
        np.repeat(np.arange(len(sizes)), sizes),
        np.zeros(len(words), bool),
        len(sizes),
        len(number),
        lambda: tuple(number),
    )


Grams = list[Counter[tuple[str, ...]]]


def _ngrams(words: Sequence[str]) -> Grams:
    return [
        Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        for n in range(1, _ORDERS + 1)
    ]


class _Masses:
    """Sums over all references, by n-gram, count and length (CIDEr-D, Vedantam et al. 2015)."""

    def __init__(self, pictures: Sequence[Sequence[Grams]]) -> None:
        documents: Counter[tuple[str, ...]] = Counter()
        for references in pictures:
            documents.update({gram for grams in references for order in grams for gram in order})
        total = log(len(pictures))
        self.idf = {gram: total - log(count) for gram, count in documents.items()}
        self.pictures = len(pictures)
        # (gram, its count in the candidate) -> reference length -> sum of min(k, m) m idf^2 / |r|
        self.table: dict[tuple[str, ...], dict[tuple[int, int], float]] = defaultdict(dict)
        self.lengths: set[int] = set()
        for references in pictures:
            for grams in references:
                self._add(grams, 1.0 / len(references))

    def _add(self, grams: Grams, weight: float) -> None:
        length = sum(grams[1].values())
        self.lengths.add(length)
        for order in grams:
            norm = self._norm(order)
            if norm == 0.0:
                continue
            for gram, count in order.items():
                row = self.table[gram]
                for k in range(1, count + 1):  # counts above m add nothing: min(k, m) = m
                    gain = weight * count * self.idf[gram] ** 2 / norm
                    row[k, length] = row.get((k, length), 0.0) + gain

    def _norm(self, order: Counter[tuple[str, ...]]) -> float:
        return sqrt(sum((count * self.idf[gram]) ** 2 for gram, count in order.items()))

    def score(self, words: Sequence[str]) -> float:
        """Mean CIDEr-D of these words said of every picture; the words occur in a reference."""
        grams = _ngrams(words)
        length = sum(grams[1].values())
        penalty = {n: exp(-((length - n) ** 2) / (2 * _SIGMA**2)) for n in self.lengths}
        total = 0.0
        for order in grams:
            norm = self._norm(order)
            if norm == 0.0:
                continue
            mass = 0.0
            for gram, count in order.items():
                for (k, other), gain in self.table[gram].items():
                    if k <= count:
                        mass += gain * penalty[other]
            total += mass / norm
        return 10.0 * total / _ORDERS / self.pictures
