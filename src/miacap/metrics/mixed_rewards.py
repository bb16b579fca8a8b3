"""A weighted sum of metrics as a reward for self-critical training, from word ids.

    reward = MixedReward(references, {"CIDEr-D": 1.0, "BLEU-4": 0.5})
    reward(["1.jpg", "2.jpg"], samples)            # B x K x T word ids -> B x K

    r(sample) = sum over metrics of weight * score(sample, the picture's references)

Each score is that of `miacap.metrics.score` for this sample alone: CIDEr-D (0 to 10) with the
document frequencies of the references that were given (`rewards`), BLEU and ROUGE-L (0 to 1).
The end of a sentence counts as a word of all of them, or of none.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from miacap.errors import UnknownName
from miacap.metrics import bleu, cider, rouge
from miacap.metrics.arrays import Floats, Integers
from miacap.metrics.corpus import Corpus
from miacap.metrics.names import REWARDS
from miacap.metrics.ngrams import distinct
from miacap.metrics.rewards import (
    CiderReward,
    counting,
    joined,
    reference_corpus,
    require_known,
    sampled,
)

__all__ = ["MixedReward"]


class MixedReward:
    """References prepared once; samples scored by the thousand.

    Args:
        references: picture name -> references as word ids; see `CiderReward`.
        weights: of each metric, by name; those of weight 0 are not counted.
        others: references of more pictures; see `CiderReward`.
        end: count the end of a sentence as a word.
        compiled: use the loops of the extra [fast]; None wherever they are installed.

    Raises:
        DataError: no pictures, a picture without references, or references that are no ids.
        UnknownName: a metric that is no reward.
    """

    def __init__(
        self,
        references: Mapping[str, Sequence[Sequence[int]]],
        weights: Mapping[str, float],
        *,
        others: Mapping[str, Sequence[Sequence[int]]] | None = None,
        end: bool = True,
        compiled: bool | None = None,
    ) -> None:
        for name in weights:
            if name not in REWARDS:
                raise UnknownName("reward", name, REWARDS)
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.end = end
        self._cider = None
        if cider.NAME in self.weights:
            self._cider = CiderReward(references, others=others, end=end, compiled=compiled)
        self._references: dict[str, list[Integers]] = {}
        if self.weights.keys() - {cider.NAME}:
            every = joined(references, others or {})
            corpus = reference_corpus(every, end)
            parts = iter(np.split(corpus.words, corpus.starts[1:]))
            self._references = {
                name: [next(parts) for _ in captions] for name, captions in every.items()
            }

    def __call__(self, names: Sequence[str], samples: ArrayLike) -> Floats:
        """Score K samples of each of B pictures.

        Args:
            names: B names of pictures.
            samples: B x K x T word ids; see `CiderReward`.

        Returns:
            B x K weighted sums.

        Raises:
            DataError: see `CiderReward`.
        """
        return self.total(self.scores(names, samples))

    def total(self, scores: Mapping[str, Floats]) -> Floats:
        """Give the weighted sum of what `scores` gave."""
        total = np.zeros(next(iter(scores.values())).shape)
        for name, each in scores.items():
            total += self.weights[name] * each
        return total

    def scores(self, names: Sequence[str], samples: ArrayLike) -> dict[str, Floats]:
        """Score samples by each metric alone: arguments and errors are those of a call.

        Returns:
            B x K scores by metric, without weights.
        """
        words = sampled(samples, len(names))
        shape = words.shape[:2]
        scores: dict[str, Floats] = {}
        if self._cider is not None:
            scores[cider.NAME] = self._cider(names, words)
        if not self._references:
            return scores
        if not words.shape[0] * words.shape[1]:
            return {name: np.zeros(shape) for name in self.weights}
        require_known(names, self._references)
        corpus = self._corpus(names, words)
        if any(name in bleu.names() for name in self.weights):
            found = bleu.statistics(corpus, bleu.correct(corpus, distinct(corpus)))
            for name, column in zip(found.names, found.per_picture.T, strict=True):
                if name in self.weights:
                    scores[name] = column.reshape(shape)
        if rouge.NAME in self.weights:
            # ROUGE-L takes a sentence without words for one empty word.
            scores[rouge.NAME] = rouge.statistics(_filled(corpus)).per_picture.reshape(shape)
        return scores

    def _corpus(self, names: Sequence[str], words: Integers) -> Corpus:
        """Lay each sample and its picture's references out, as a picture of its own."""
        rows = words.reshape(-1, words.shape[2])
        kept = counting(rows, self.end)
        sentences: list[Integers] = []
        sizes = []
        for index, name in enumerate(np.repeat(np.array(names, dtype=object), words.shape[1])):
            sentences += [rows[index][kept[index]], *self._references[name]]
            sizes.append(1 + len(self._references[name]))
        picture = np.repeat(np.arange(len(sizes)), sizes)
        candidate = np.zeros(len(sentences), dtype=np.bool_)
        candidate[np.cumsum(sizes) - sizes] = True
        flat = np.concatenate(sentences)
        lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
        width = int(flat.max(initial=0)) + 1
        return Corpus(flat, lengths, picture, candidate, len(sizes), width, tuple)


def _filled(corpus: Corpus) -> Corpus:
    """Give sentences without words one word that nothing else has."""
    empty = corpus.lengths == 0
    if not empty.any():
        return corpus
    return Corpus(
        np.insert(corpus.words, corpus.starts[empty], corpus.width),
        np.where(empty, 1, corpus.lengths),
        corpus.picture,
        corpus.candidate,
        corpus.pictures,
        corpus.width + 1,
        corpus.spell,
    )
