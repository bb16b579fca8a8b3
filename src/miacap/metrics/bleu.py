"""BLEU-1 .. BLEU-4 (Papineni et al., ACL 2002), as the COCO caption evaluation computes it.

    correct_n = sum over the candidate's n-grams g of min(count(g), max over references count_j(g))
    guess_n   = max(0, words - n + 1)
    B_k       = product over n <= k of (correct_n + 1e-15) / (guess_n + 1e-9)
    ratio     = (words + 1e-15) / (r + 1e-9)
    BLEU-k    = B_k^(1/k) * (exp(1 - 1/ratio) if ratio < 1 else 1)

r is the length of the reference whose length is nearest to the candidate's; of two equally
near ones the shorter. The corpus score is the same formula on summed counts and lengths,
not the mean of the pictures' scores.

What surprises people: a picture's BLEU is never exactly 0 where words are shared nor exactly 1
(a perfect caption of four words or more gets 0.9999999..., a perfect one-word caption has
BLEU-4 3.16e-5); nltk and torchmetrics choose other reference lengths and smoothing;
sacrebleu tokenises otherwise and multiplies by 100.

Worked example: candidate "a cat sat", reference "a cat sat down". 3 of 3 words and
2 of 2 word pairs are right, so B_1 = B_2 = 1; ratio = 3/4, penalty exp(1 - 4/3) = 0.7165.
BLEU-1 = BLEU-2 = 0.7165.
"""

import math
from collections.abc import Iterable

import numpy as np

from miacap.metrics.arrays import Floats, Integers
from miacap.metrics.corpus import Corpus
from miacap.metrics.ngrams import NGrams
from miacap.metrics.statistics import Statistics

_SMALL = 1e-9
_TINY = 1e-15


def names(orders: int = 4) -> tuple[str, ...]:
    """BLEU-1, ... BLEU-`orders`."""
    return tuple(f"BLEU-{n}" for n in range(1, orders + 1))


def statistics(corpus: Corpus, correct: Integers) -> Statistics:
    """Statistics and scores of every picture from its right n-grams (pictures x orders).

    Columns: correct_1..n, guess_1..n, words of the candidate, words of the nearest reference.
    """
    orders = correct.shape[1]
    lengths = corpus.lengths[corpus.candidate]
    guess = [np.maximum(lengths - n, 0) for n in range(orders)]
    rows = np.column_stack([correct, *guess, lengths, nearest_lengths(corpus)]).astype(np.float64)
    corpus_scores = aggregate(rows.sum(axis=0, keepdims=True))[0]
    return Statistics(
        names(orders), rows, aggregate, aggregate(rows), tuple(corpus_scores.tolist())
    )


def correct(corpus: Corpus, ngrams: Iterable[NGrams]) -> Integers:
    """Count the right n-grams of every picture: pictures x orders."""
    return np.stack([_correct(corpus, order) for order in ngrams], axis=1)


def aggregate(sums: Floats) -> Floats:
    """BLEU-1..n of summed statistics: R x (2n + 2) -> R x n."""
    orders = (sums.shape[1] - 2) // 2
    correct, guess = sums[:, :orders], sums[:, orders : 2 * orders]
    words, nearest = sums[:, -2], sums[:, -1]
    product = np.cumprod((correct + _TINY) / (guess + _SMALL), axis=1)
    ratio = (words + _TINY) / (nearest + _SMALL)
    # Python's power and exponential give the official program's bits, so that equal scores tie.
    penalty = np.array([math.exp(1 - 1 / r) if r < 1 else 1.0 for r in ratio.tolist()])
    columns = [
        [value ** (1.0 / order) for value in column]
        for order, column in enumerate(product.T.tolist(), 1)
    ]
    result: Floats = np.array(columns).T * penalty[:, None]
    return result


def nearest_lengths(corpus: Corpus) -> Integers:
    """Length of each picture's nearest reference; of two equally near ones the shorter."""
    own = corpus.lengths[corpus.candidate][corpus.picture]
    lengths = corpus.lengths[~corpus.candidate]
    picture = corpus.picture[~corpus.candidate]
    distance = np.abs(lengths - own[~corpus.candidate])
    best = np.lexsort((lengths, distance, picture))
    heads = np.flatnonzero(np.diff(picture[best], prepend=-1))
    result: Integers = lengths[best][heads]
    return result


def _correct(corpus: Corpus, ngrams: NGrams) -> Integers:
    shared = np.flatnonzero(ngrams.partner >= 0)
    partner = ngrams.partner[shared]
    allowed = np.zeros(len(ngrams.count), dtype=np.int64)
    np.maximum.at(allowed, partner, ngrams.count[shared])
    clipped = np.minimum(allowed, ngrams.count)
    picture = corpus.picture[ngrams.sentence]
    # Only candidates' rows are partners, so references add 0; counts are exact in float64.
    return np.bincount(picture, weights=clipped, minlength=corpus.pictures).astype(np.int64)
