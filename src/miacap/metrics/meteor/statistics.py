"""From counts to METEOR's score, for one pair, one picture, or a whole corpus.

The 23 statistics of a pair, in the official order: words of candidate and reference, function
words of both, then for each module (exact, stem, synonym, paraphrase) the matched content words of
candidate and reference and the matched function words of both, then chunks, then all matched
words of candidate and reference. With w = (1.0, 0.6, 0.8, 0.6):

    P      = sum_i w_i (d content_i + (1 - d) function_i) / (d content + (1 - d) function)
    Fmean  = 1 / ((1 - a) / P + a / R)            a = 0.85, d = 0.75; R as P, on the reference
    frag   = chunks / ((matched candidate words + matched reference words) / 2)
    score  = Fmean (1 - g frag^b)                 b = 0.20, g = 0.60

frag is 0 where everything matches on both sides in one chunk. A picture's statistics are those of
its best reference, the first of the highest score. A corpus has the score of the summed statistics,
without the chunk of each picture that matches completely in one chunk.

Differs from what people expect: the corpus value is not the mean of the pictures' values.
Source: Denkowski & Lavie 2014, equations of section 2; parameters of METEOR 1.5 for English.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from miacap.wording import counted

WEIGHTS = (1.0, 0.6, 0.8, 0.6)
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.20, 0.60, 0.75

COLUMNS = 23
_CHUNKS, _MATCHED, _MATCHED_REFERENCE = 20, 21, 22


def count(
    candidate: Sequence[bool],
    reference: Sequence[bool],
    matches: Sequence[tuple[int, int, int, int, int]],
    chunks: int,
) -> list[int]:
    """Count the 23 statistics of a pair.

    Args:
        candidate: for each word, whether it is a function word.
        reference: the same.
        matches: candidate start and length, reference start and length, module.
        chunks: number of chunks of the alignment.
    """
    row = [len(candidate), len(reference), sum(candidate), sum(reference)] + [0] * 19
    for start, length, begin, reach, module in matches:
        column = 4 + 4 * module
        for is_function in candidate[start : start + length]:
            row[column + 2 * is_function] += 1
        for is_function in reference[begin : begin + reach]:
            row[column + 1 + 2 * is_function] += 1
        row[_MATCHED] += length
        row[_MATCHED_REFERENCE] += reach
    row[_CHUNKS] = chunks
    return row


def score(row: Sequence[float]) -> float:
    """Give the score of one row of statistics, from 0 to 1."""
    precision = _weighted(row, 0)
    recall = _weighted(row, 1)
    if precision <= 0 or recall <= 0:
        return 0.0
    mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall)
    if _complete(row):
        fragmentation = 0.0
    else:
        fragmentation = row[_CHUNKS] / ((row[_MATCHED] + row[_MATCHED_REFERENCE]) / 2.0)
    return max(0.0, mean * (1.0 - GAMMA * math.pow(fragmentation, BETA)))


def _weighted(row: Sequence[float], side: int) -> float:
    """Give precision (side 0) or recall (side 1)."""
    matched = 0.0
    # All content words first, then all function words: the order of the official sum, which
    # decides the last bit and so the ties between pictures.
    for module, weight in enumerate(WEIGHTS):
        matched += weight * DELTA * row[4 + 4 * module + side]
    for module, weight in enumerate(WEIGHTS):
        matched += weight * (1.0 - DELTA) * row[6 + 4 * module + side]
    words, functions = row[side], row[2 + side]
    total = DELTA * (words - functions) + (1.0 - DELTA) * functions
    return matched / total if total > 0 else 0.0


def _complete(row: Sequence[float]) -> bool:
    """Say whether all words of both sides match in one chunk."""
    return row[_MATCHED] == row[0] and row[_MATCHED_REFERENCE] == row[1] and row[_CHUNKS] == 1


def summands(statistics: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give what each picture adds to the corpus: its row, a complete match without its chunk.

    Args:
        statistics: P x 23, one row a picture.
    """
    rows = statistics.copy()
    complete = (
        (rows[:, _MATCHED] == rows[:, 0])
        & (rows[:, _MATCHED_REFERENCE] == rows[:, 1])
        & (rows[:, _CHUNKS] == 1)
    )
    rows[complete, _CHUNKS] = 0
    return rows


def aggregate(
    statistics: NDArray[np.int64], weights: NDArray[np.int64] | None = None
) -> float | NDArray[np.float64]:
    """Give METEOR's corpus value from the statistics of its pictures.

    Args:
        statistics: P x 23, the best reference's row of each picture.
        weights: how often each picture counts: length P for one value, or S x P for S values,
            such as the draws of a bootstrap. None counts each once.

    Returns:
        One value from 0 to 1, or an array of S values. No picture gives 0.

    Raises:
        ValueError: the shapes do not fit.
    """
    statistics = np.asarray(statistics)
    if statistics.ndim != 2 or statistics.shape[1] != COLUMNS:
        raise ValueError(f"METEOR's statistics are P x {COLUMNS}, not {statistics.shape}")
    rows = summands(statistics)
    if weights is None:
        return score(rows.sum(axis=0).tolist())
    weights = np.asarray(weights)
    if weights.ndim not in (1, 2) or weights.shape[-1] != len(rows):
        raise ValueError(
            f"weights for {counted(len(rows), 'picture')}, not of shape {weights.shape}"
        )
    # Floats multiply by BLAS; whole numbers below 2**53 stay exact in them.
    sums = weights.astype(np.float64) @ rows.astype(np.float64)
    if weights.ndim == 1:
        return score(sums.tolist())
    return np.array([score(row) for row in sums.tolist()])
