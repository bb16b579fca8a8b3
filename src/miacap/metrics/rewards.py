"""CIDEr-D as a reward for self-critical training: from word ids, against cached references.

    reward = CiderReward({"1.jpg": [[17, 4, 9], ...], ...})
    reward(["1.jpg", "2.jpg"], samples)            # B x K x T word ids -> B x K

The same number as `miacap.metrics.cider` gives for words instead of ids, with the document
frequencies of the references that were given once (Rennie et al., CVPR 2017, reward
with CIDEr-D). Whether the end of a sentence counts as a word is part of the signature:
without it, samples learn to stop in the middle ("a man riding a").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from miacap.errors import DataError
from miacap.metrics import cider
from miacap.metrics.arrays import Flags, Floats, Integers
from miacap.metrics.corpus import Corpus
from miacap.metrics.matching import few
from miacap.metrics.ngrams import NGrams, distinct
from miacap.metrics.signatures import FIXED, setting
from miacap.metrics.speed import loops
from miacap.text import BOS, EOS, PAD
from miacap.wording import counted

ORDERS = 4
# Loading the compiled loops always pays: rewards are wanted at every step of a training.
_ALWAYS = 1_000_000_000


class CiderReward:
    """References weighed once; samples scored by the thousand.

    Args:
        references: picture name -> references as word ids, without BOS and EOS. Words
            outside the vocabulary are best given ids of their own beyond it, so that
            they don't count as equal.
        end: count the end of a sentence as a word, in references and in samples that end.
        compiled: use the loops of the extra [fast]; None wherever they are installed.

    Raises:
        DataError: no pictures, a picture without references, or references that are no ids.
    """

    def __init__(
        self,
        references: Mapping[str, Sequence[Sequence[int]]],
        *,
        others: Mapping[str, Sequence[Sequence[int]]] | None = None,
        end: bool = True,
        compiled: bool | None = None,
    ) -> None:
        if not references:
            raise DataError("No references to weigh rewards by: the mapping is empty.")
        counted, references = len(references), joined(references, others or {})
        self.end = end
        self._index = {name: index for index, name in enumerate(references)}
        corpus = reference_corpus(references, end)
        self._pairs = np.maximum(corpus.lengths - 1, 0)
        self._sizes = corpus.references
        self._first = np.cumsum(self._sizes) - self._sizes
        self._fast = loops(_ALWAYS) is not None if compiled is None else compiled
        self._orders = [
            Weighed.of(corpus, ngrams, counted, self._fast) for ngrams in distinct(corpus, ORDERS)
        ]
        own = f"{FIXED[cider.NAME]}|df:training|end:{'yes' if end else 'no'}"
        sizes = self._sizes[:counted]
        shared = setting([[""] * int(size) for size in sizes], tokenized=False)
        self.signature = f"{cider.NAME}[{own}] {shared}"

    def __call__(self, names: Sequence[str], samples: ArrayLike) -> Floats:
        """Score K samples of each of B pictures.

        Args:
            names: B names of pictures.
            samples: B x K x T word ids, 0 or more. A sample ends behind its first EOS, or at T;
                PAD and BOS are no words.

        Returns:
            B x K scores, 0 to 10.

        Raises:
            DataError: a picture without references, another number of names than rows, or
                what is no id.
        """
        words = sampled(samples, len(names))
        require_known(names, self._index)
        if not len(names) or not words.shape[1]:
            return np.zeros(words.shape[:2])
        picture = np.array([self._index[name] for name in names], dtype=np.int64)
        rows = words.reshape(len(words) * words.shape[1], words.shape[2])
        batch = self._batch(rows, np.repeat(picture, words.shape[1]))
        return self._score(batch).reshape(words.shape[:2])

    def _batch(self, words: Integers, picture: Integers) -> "Batch":
        kept = counting(words, self.end)
        lengths = kept.sum(axis=1)
        return Batch(words[kept], lengths, picture, self._sizes, self._first)

    def _score(self, batch: "Batch") -> Floats:
        pairs = np.maximum(batch.lengths - 1, 0)
        difference = np.abs(pairs[batch.row] - self._pairs[batch.reference])
        penalty = cider.penalty_table(int(difference.max(initial=0)))[difference]
        prefix = np.zeros(len(batch.words), dtype=np.int64)
        grams = None if self._fast else iter(distinct(batch.corpus, ORDERS))
        columns = []
        for order in self._orders:
            if grams is None:
                cosines, prefix = order.compare_compiled(batch, prefix)
            else:
                cosines, prefix = order.compare(batch, prefix, next(grams))
            columns.append(np.bincount(batch.row, cosines * penalty, len(batch.lengths)))
        score: Floats = np.mean(np.stack(columns, axis=1), axis=1)
        return score / self._sizes[batch.picture] * 10.0


class Batch:
    """Samples as one flat array, and their pairs with references.

    Attributes:
        words: ids of all samples, one after another.
        lengths: words of each sample.
        picture: index of each sample's picture.
        row: of each (sample, reference) pair, the sample.
        reference: of each pair, the index of the reference.
        offset: where each sample's pairs begin.
    """

    def __init__(
        self,
        words: Integers,
        lengths: Integers,
        picture: Integers,
        sizes: Integers,
        first: Integers,
    ) -> None:
        self.words, self.lengths, self.picture = words, lengths, picture
        self.starts = np.cumsum(lengths) - lengths
        own = sizes[picture]
        self.row = np.repeat(np.arange(len(picture)), own)
        self.offset = np.cumsum(own) - own
        self.first = first[picture]
        self.reference = np.arange(len(self.row)) + np.repeat(self.first - self.offset, own)

    @property
    def corpus(self) -> Corpus:
        """The samples alone, each a sentence of its own."""
        return _corpus(self.words, self.lengths, self.picture, int(self.picture.max()) + 1)


@dataclass(frozen=True)
class Weighed:
    """References' n-grams of one order, weighed, by picture.

    Attributes:
        order: n.
        key: sorted keys of the known n-grams; an n-gram's number is its index.
        width: word ids below this are known.
        idf: weight of each known n-gram.
        unknown: weight of all others, ln N.
        gram, reference, weight: rows sorted by picture, n-gram, reference.
        begin: where each picture's rows begin; one more at the end.
        norm: of each reference.
        slots: hash table of `key` for the compiled loops, or empty.
    """

    order: int
    key: Integers
    width: int
    idf: Floats
    unknown: float
    gram: Integers
    reference: Integers
    weight: Floats
    begin: Integers
    norm: Floats
    slots: Integers

    @classmethod
    def of(cls, corpus: Corpus, ngrams: NGrams, counted: int, fast: bool) -> "Weighed":
        """Weigh the references' n-grams of one order, by how many of the first pictures have them.

        Args:
            corpus: the references, of those pictures first.
            ngrams: of one order.
            counted: how many pictures are counted in the document frequencies.
            fast: make what the compiled loops look up.
        """
        frequency = _frequency(corpus, ngrams, counted)
        idf = cider.idf(float(counted), frequency.astype(np.float64))
        weight = ngrams.count * idf[ngrams.gram]
        seen = ngrams.in_text_order(len(corpus.words))
        norm = np.sqrt(np.bincount(ngrams.sentence[seen], weight[seen] ** 2, len(corpus.lengths)))
        picture = corpus.picture[ngrams.sentence]
        by_picture = np.argsort(picture, kind="stable")
        begin = np.searchsorted(picture[by_picture], np.arange(corpus.pictures + 1))
        slots = np.zeros(0, dtype=np.int64)
        if fast:
            from miacap.metrics import compiled_rewards

            slots = compiled_rewards.hashed(ngrams.key)
        return cls(
            ngrams.order,
            ngrams.key,
            corpus.width,
            idf,
            float(np.log(float(counted))),
            ngrams.gram[by_picture],
            ngrams.sentence[by_picture],
            weight[by_picture],
            begin,
            norm,
            slots,
        )

    def compare_compiled(self, batch: Batch, prefix: Integers) -> tuple[Floats, Integers]:
        """Clipped cosine of each pair, and the number of the n-gram at each position."""
        from miacap.metrics import compiled_rewards

        cosines: Floats
        numbers: Integers
        cosines, numbers = compiled_rewards.compare(
            (self.order, self.width, self.unknown),
            (self.key, self.slots, self.idf),
            (self.gram, self.reference, self.weight, self.begin, self.norm),
            (batch.words, batch.lengths, batch.picture, batch.first, batch.offset),
            prefix,
            len(batch.row),
        )
        return cosines, numbers

    def compare(self, batch: Batch, prefix: Integers, ngrams: NGrams) -> tuple[Floats, Integers]:
        """The same with numpy; `ngrams` are the samples' own."""
        numbers = self._numbers(batch, prefix)
        seen = ngrams.in_text_order(len(batch.words))
        sample, number = ngrams.sentence[seen], numbers[ngrams.first[seen]]
        idf = np.append(self.idf, self.unknown)  # number -1 takes the last
        weight = ngrams.count[seen] * idf[number]
        norm = np.sqrt(np.bincount(sample, weight**2, len(batch.lengths)))
        pair, left, right = self._shared(batch, sample, number, weight)
        dot = np.bincount(pair, np.minimum(left, right) * right, len(batch.row))
        lengths = norm[batch.row] * self.norm[batch.reference]
        return np.divide(dot, lengths, out=dot.astype(np.float64), where=lengths != 0), numbers

    def _numbers(self, batch: Batch, prefix: Integers) -> Integers:
        left = np.repeat(batch.starts + batch.lengths, batch.lengths) - np.arange(len(batch.words))
        last = np.full(len(prefix), -1, dtype=np.int64)
        following = batch.words[self.order - 1 :]
        last[: len(following)] = following
        known = (left >= self.order) & (prefix >= 0) & (last < self.width)
        wanted = np.where(known, prefix * self.width + last, -1)
        index = np.minimum(np.searchsorted(self.key, wanted), max(len(self.key) - 1, 0))
        if not len(self.key):
            return np.full(len(prefix), -1, dtype=np.int64)
        return np.where(self.key[index] == wanted, index, -1)

    def _shared(
        self, batch: Batch, sample: Integers, number: Integers, weight: Floats
    ) -> tuple[Integers, Floats, Floats]:
        """(sample, reference) pair and both weights of each shared n-gram, in text order."""
        pictures, local = np.unique(batch.picture, return_inverse=True)
        sizes = self.begin[pictures + 1] - self.begin[pictures]
        starts = np.cumsum(sizes) - sizes
        rows = np.arange(sizes.sum()) + np.repeat(self.begin[pictures] - starts, sizes)
        grams = len(self.key) + 1
        here = np.repeat(np.arange(len(pictures)), sizes) * grams + self.gram[rows]
        wanted = local[sample] * grams + np.where(number < 0, len(self.key), number)
        low = np.searchsorted(here, wanted, side="left")
        count = np.searchsorted(here, wanted, side="right") - low
        which = np.repeat(np.arange(len(wanted)), count)
        matches = rows[np.arange(count.sum()) + np.repeat(low - (np.cumsum(count) - count), count)]
        owner = sample[which]
        pair = batch.offset[owner] + self.reference[matches] - batch.first[owner]
        return pair, weight[which], self.weight[matches]


def joined(
    references: Mapping[str, Sequence[Sequence[int]]],
    others: Mapping[str, Sequence[Sequence[int]]],
) -> dict[str, Sequence[Sequence[int]]]:
    """Put the references of more pictures behind those of the first.

    Raises:
        DataError: a picture without references, or one that comes twice.
    """
    every = {**references, **others}
    without = [name for name, captions in every.items() if not captions]
    if without:
        raise DataError(f"{_pictures_have(len(without))} no references: {few(without)}.")
    twice = [name for name in others if name in references]
    if twice:
        raise DataError(f"Among the references twice: {few(twice)}; name each picture once.")
    return every


def require_known(names: Sequence[str], known: Mapping[str, object]) -> None:
    """Refuse pictures without references; raises DataError."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(f"{_pictures_have(len(unknown))} no references: {few(unknown)}.")


def counting(words: Integers, end: bool) -> Flags:
    """Say which ids of samples are words of theirs: those up to the first EOS, itself if `end`.

    Args:
        words: N x T ids; PAD and BOS are no words.
        end: whether the end is a word.
    """
    ended = words == EOS
    kept: Flags = (np.cumsum(ended, axis=1) - ended == 0) & (words != PAD) & (words != BOS)
    return kept if end else kept & ~ended


def sampled(samples: ArrayLike, pictures: int) -> Integers:
    """Give samples as an array of word ids, pictures x samples x words. Raises DataError."""
    try:
        words = np.asarray(samples)
    except ValueError:
        raise DataError("Samples must be of equal length: fill them up with PAD (0).") from None
    if words.ndim != 3 or len(words) != pictures or words.dtype.kind not in "iu":
        raise DataError(
            f"Samples must be whole numbers, pictures x samples x words, for "
            f"{counted(pictures, 'picture')}; got {words.dtype} of shape {words.shape}."
        )
    ids = words.astype(np.int64, copy=False)
    if ids.size and ids.min() < 0:
        raise DataError(f"Word ids are 0 or more, not {ids.min()}; fill samples up with PAD (0).")
    return ids


def _frequency(corpus: Corpus, ngrams: NGrams, counted: int) -> Integers:
    """Count the pictures, of the first so many, whose references have each n-gram."""
    if counted == corpus.pictures:
        return ngrams.document_frequency
    picture = corpus.picture[ngrams.sentence]
    # Rows are sorted by n-gram, then by sentence, so that a picture's rows stand together.
    fresh = np.ones(len(picture), dtype=np.bool_)
    fresh[1:] = (np.diff(ngrams.gram) != 0) | (np.diff(picture) != 0)
    return np.bincount(ngrams.gram[fresh & (picture < counted)], minlength=len(ngrams.key))


def reference_corpus(pictures: Mapping[str, Sequence[Sequence[int]]], end: bool) -> Corpus:
    """Lay the references of all pictures out, one after another. Raises DataError."""
    tail = [EOS] if end else []
    sentences = [[*caption, *tail] for captions in pictures.values() for caption in captions]
    words = _ids([word for sentence in sentences for word in sentence])
    if words is None:
        raise DataError(_not_ids(pictures))
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    sizes = np.array([len(captions) for captions in pictures.values()])
    picture = np.repeat(np.arange(len(pictures)), sizes)
    return _corpus(words, lengths, picture, len(pictures))


def _ids(words: Sequence[object]) -> Integers | None:
    """Word ids as an array; None where one is no whole number of 0 or more."""
    ids = np.array(words) if words else np.zeros(0, dtype=np.int64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or (ids.size and ids.min() < 0):
        return None
    return ids.astype(np.int64)


def _not_ids(pictures: Mapping[str, Sequence[Sequence[int]]]) -> str:
    for name, captions in pictures.items():
        for caption in captions:
            if _ids(list(caption)) is None:
                return (
                    f"picture {name}: references are lists of word ids of 0 or more, "
                    f"not {caption!r:.60}."
                )
    return "References are lists of word ids."


def _corpus(words: Integers, lengths: Integers, picture: Integers, pictures: int) -> Corpus:
    width = int(words.max(initial=0)) + 1
    nobody = np.zeros(len(lengths), dtype=np.bool_)
    return Corpus(words, lengths, picture, nobody, pictures, width, tuple)


def _pictures_have(number: int) -> str:
    return counted(number, "picture has", "pictures have")
