"""ROUGE-L (Lin, 2004), as the COCO caption evaluation computes it.

    P = max over references of LCS(c, r_j) / |c|
    R = max over references of LCS(c, r_j) / |r_j|
    ROUGE-L = (1 + b^2) P R / (R + b^2 P),  b = 1.2;  0 if P or R is 0

LCS is the length of the longest common subsequence of words. The corpus score is the mean.

What surprises people: the best P and the best R may come from different references, so the
score can exceed the F of every single reference; the rouge-score package and torchmetrics
take the best F, with b = 1. An empty sentence counts as one empty word: empty against empty is 1.

Worked example: candidate "a cat sat", references "a cat sat on a mat" and "cat sat". LCS 3 and 2:
P = 3/3, R = 2/2, so ROUGE-L = 1 although neither reference equals the candidate.
"""

import numpy as np

from miacap.metrics.arrays import Integers
from miacap.metrics.corpus import Corpus
from miacap.metrics.speed import loops
from miacap.metrics.statistics import Statistics, of_means

NAME = "ROUGE-L"
BETA = 1.2

# Candidates up to this many words fit one machine word of the bit-parallel search.
_BITS = 62


def statistics(corpus: Corpus) -> Statistics:
    """Score every picture from words that were split at single blanks."""
    reference = np.flatnonzero(~corpus.candidate)
    picture = corpus.picture[reference]
    common = longest_common(corpus)
    own = corpus.lengths[corpus.candidate]
    precision = np.zeros(corpus.pictures)
    recall = np.zeros(corpus.pictures)
    np.maximum.at(precision, picture, common / own[picture])
    np.maximum.at(recall, picture, common / corpus.lengths[reference])
    below = recall + BETA**2 * precision
    score = np.divide(
        (1 + BETA**2) * precision * recall, below, out=np.zeros_like(below), where=below != 0
    )
    return of_means(NAME, score)


def longest_common(corpus: Corpus) -> Integers:
    """LCS length of every reference with its picture's candidate, in sentence order."""
    reference = np.flatnonzero(~corpus.candidate)
    compiled = loops(len(corpus.lengths))
    if compiled is not None:
        lengths: Integers = compiled.longest_common(
            corpus.words, corpus.lengths, corpus.candidate, corpus.width
        )[reference]
        return lengths
    candidate = np.flatnonzero(corpus.candidate)[corpus.picture[reference]]
    result = np.zeros(len(reference), dtype=np.int64)
    short = corpus.lengths[candidate] <= _BITS
    result[short] = _in_machine_words(corpus, candidate[short], reference[short])
    starts = corpus.starts
    for pair in np.flatnonzero(~short).tolist():
        left, right = (
            corpus.words[starts[s] : starts[s] + corpus.lengths[s]].tolist()
            for s in (candidate[pair], reference[pair])
        )
        result[pair] = _in_long_words(left, right)
    return result


def _in_machine_words(corpus: Corpus, candidate: Integers, reference: Integers) -> Integers:
    """Bit-parallel LCS (Hyyro 2004) of many pairs at once.

    Bit i of `row` is 0 where the table's row grows at the candidate's word i; each word of
    the reference updates row = (row + (row & match)) | (row & ~match).
    """
    if not len(candidate):
        return np.zeros(0, dtype=np.int64)
    longest_first = np.argsort(-corpus.lengths[reference], kind="stable")
    reference, candidate = reference[longest_first], candidate[longest_first]
    lengths = corpus.lengths[reference]
    own = corpus.lengths[candidate]
    starts = corpus.starts
    width = int(own.max())
    padded = np.append(corpus.words, np.full(width, -1))
    # One column a word's index in the candidate, so that each step reads contiguous memory.
    columns = [
        np.where(index < own, padded[starts[candidate] + index], -1) for index in range(width)
    ]
    full = (np.int64(1) << own) - 1
    row = full.copy()
    more = np.searchsorted(-lengths, -np.arange(1, int(lengths[0]) + 1), side="right")
    for step, pairs in enumerate(more.tolist()):
        word = corpus.words[starts[reference[:pairs]] + step]
        match = np.zeros(pairs, dtype=np.int64)
        for index, column in enumerate(columns):
            match |= (column[:pairs] == word).astype(np.int64) << index
        kept = row[:pairs] & match
        row[:pairs] = ((row[:pairs] + kept) | (row[:pairs] - kept)) & full[:pairs]
    result = np.empty(len(reference), dtype=np.int64)
    result[longest_first] = own - np.bitwise_count(row)
    return result


def _in_long_words(left: list[int], right: list[int]) -> int:
    """The same on Python's whole numbers, which have as many bits as it takes."""
    masks: dict[int, int] = {}
    for index, word in enumerate(left):
        masks[word] = masks.get(word, 0) | 1 << index
    full = (1 << len(left)) - 1
    row = full
    for word in right:
        kept = row & masks.get(word, 0)
        row = ((row + kept) | (row - kept)) & full
    return len(left) - row.bit_count()
