"""CIDEr-D (Vedantam et al., CVPR 2015), as the COCO caption evaluation computes it.

    idf(g)  = ln N - ln max(1, df(g))      df: pictures with n-gram g in any reference; N pictures
    w_s(g)  = count of g in sentence s * idf(g)
    sim_n   = sum over the candidate's n-grams min(w_c, w_r) * w_r / (|w_c|_n |w_r|_n)
    CIDEr-D = 10 * mean over n = 1..4, references of sim_n * exp(-(l_c - l_r)^2 / (2 * 6^2))

l counts word pairs (words - 1, and 0 for an empty sentence too). The corpus score is the mean.

What surprises people: tables print it as "CIDEr" although clipping and the length penalty
are on (there is no stemming, which the paper's CIDEr has); it runs from 0 to 10, not to 1,
and papers print it times 100; frequencies come from the references *of the call*, so
a picture's score depends on the set that it is scored in, and one picture alone always
gets 0 (ln 1 = 0); a sentence of under four words cannot reach 10.

Worked example: picture 1 has the candidate and only reference "a red cat sat", picture 2 "a blue
dog ran". N = 2. "a" is in both pictures: idf 0. Every other n-gram has idf ln 2, the candidate
equals its reference, so sim_n = 1 for n = 1..4: CIDEr-D 10.
"""

import math
from collections.abc import Iterable

import numpy as np

from miacap.metrics.arrays import Floats, Integers
from miacap.metrics.corpus import Corpus
from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.ngrams import NGrams
from miacap.metrics.statistics import Statistics, of_means

NAME = "CIDEr-D"
SIGMA = 6.0


def statistics(corpus: Corpus, similarity: Floats) -> Statistics:
    """Scores from the cosines summed over references (pictures x orders)."""
    return of_means(NAME, np.mean(similarity, axis=1) / corpus.references * 10.0)


def similarity(
    corpus: Corpus,
    ngrams: Iterable[NGrams],
    penalty: Floats,
    frequencies: DocumentFrequencies | None = None,
) -> Floats:
    """Clipped cosines times penalty, summed over each picture's references: pictures x orders.

    Args:
        corpus: words of all sentences.
        ngrams: their n-grams, orders 1, 2, ...
        penalty: factor of each sentence for its length.
        frequencies: fixed document frequencies; None takes those of the corpus' references.
    """
    reference = np.flatnonzero(~corpus.candidate)
    picture = corpus.picture[reference]
    columns = []
    for order in ngrams:
        cosines = (_cosines(corpus, order, frequencies) * penalty)[reference]
        columns.append(_sums(picture, cosines, corpus.pictures))
    return np.stack(columns, axis=1)


def _cosines(corpus: Corpus, ngrams: NGrams, frequencies: DocumentFrequencies | None) -> Floats:
    """Clipped cosine of one order between each reference and its candidate, by sentence."""
    sentences = len(corpus.lengths)
    weight = ngrams.count * _idf(corpus, ngrams, frequencies)[ngrams.gram]
    # Sums run in the order of the text, as the official program's do: equal to the last bits.
    seen = ngrams.in_text_order(len(corpus.words))
    norm = np.sqrt(_sums(ngrams.sentence[seen], weight[seen] ** 2, sentences))
    row = np.flatnonzero(ngrams.partner >= 0)
    partner = ngrams.partner[row]
    order = np.lexsort((ngrams.first[partner], ngrams.sentence[row]))
    row, partner = row[order], partner[order]
    overlap = np.minimum(weight[partner], weight[row]) * weight[row]
    dot = _sums(ngrams.sentence[row], overlap, sentences)
    lengths = norm * norm[corpus.candidate][corpus.picture]
    result: Floats = np.divide(dot, lengths, out=dot, where=lengths != 0)
    return result


def _sums(index: Integers, values: Floats, size: int) -> Floats:
    # Of nothing at all, bincount gives whole numbers.
    return np.bincount(index, weights=values, minlength=size).astype(np.float64, copy=False)


def _idf(corpus: Corpus, ngrams: NGrams, frequencies: DocumentFrequencies | None) -> Floats:
    if frequencies is None:
        return idf(float(corpus.pictures), ngrams.document_frequency.astype(np.float64))
    return idf(frequencies.pictures, frequencies.of_ngrams(corpus, ngrams))


def idf(pictures: float, counts: Floats) -> Floats:
    """ln N - ln max(1, df)."""
    result: Floats = np.log(pictures) - np.log(np.maximum(1.0, counts))
    return result


def penalties(corpus: Corpus, sigma: float = SIGMA) -> Floats:
    """Gaussian penalty of each sentence against its picture's candidate.

    Args:
        corpus: words of all sentences.
        sigma: width of the penalty, in word pairs.
    """
    pairs = np.maximum(corpus.lengths - 1, 0)
    difference = np.abs(pairs - pairs[corpus.candidate][corpus.picture])
    result: Floats = penalty_table(int(difference.max(initial=0)), sigma)[difference]
    return result


def penalty_table(most: int, sigma: float = SIGMA) -> Floats:
    """exp(-d^2 / (2 sigma^2)) of d = 0, 1, ... `most`.

    Few entries: Python's power gives the official program's bits.
    """
    return np.array([math.e ** (-(float(d) ** 2) / (2 * sigma**2)) for d in range(most + 1)])
