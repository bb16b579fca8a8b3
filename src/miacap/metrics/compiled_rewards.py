"""Rewards as compiled loops; needs the extra [fast]. The same bits as numpy's form in `rewards`."""

import numpy as np

from miacap.metrics.arrays import Floats, Integers
from miacap.metrics.compiled import _compile


@_compile
def hashed(keys: Integers) -> Integers:
    """Places of keys in an open hash table of at least twice their number; -1 where empty."""
    size = 4
    while size < 2 * len(keys):
        size *= 2
    slots = np.full(size, -1, np.int64)
    for index in range(len(keys)):
        slot = ((keys[index] * 0x9E3779B97F4A7C1) >> 20) & (size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = index
    return slots


@_compile
def _index_of(key: int, keys: Integers, slots: Integers) -> int:
    """Where a key stands among `keys`; -1 if it does not."""
    mask = len(slots) - 1
    slot = ((key * 0x9E3779B97F4A7C1) >> 20) & mask
    while slots[slot] >= 0:
        if keys[slots[slot]] == key:
            return int(slots[slot])
        slot = (slot + 1) & mask
    return -1


@_compile
def compare(
    sizes: tuple[int, int, float],
    known: tuple[Integers, Integers, Floats],
    rows: tuple[Integers, Integers, Floats, Integers, Floats],
    batch: tuple[Integers, Integers, Integers, Integers, Integers],
    prefix: Integers,
    pairs: int,
) -> tuple[Floats, Integers]:
    """Clipped cosines of one order between samples and their references.

    Args:
        sizes: n, width, weight of unknown n-grams.
        known: keys, their hash table, weights.
        rows: n-gram, reference and weight of the references' rows; where each picture's
            begin; norms of references.
        batch: words, lengths, picture, first reference and first pair of each sample.
        prefix: number of the (n-1)-gram at each position.
        pairs: number of (sample, reference) pairs.

    Returns:
        cosine of each pair; number of the n-gram at each position.
    """
    order, width, unknown = sizes
    keys, slots, idf = known
    grams, references, weights, begin, norms = rows
    words, lengths, picture, first, offset = batch
    result = np.zeros(pairs)
    numbers = np.full(len(words), -1, np.int64)
    start = 0
    for sample in range(len(lengths)):
        end = start + lengths[sample] - order + 1
        for position in range(start, end):
            last = words[position + order - 1]
            if prefix[position] >= 0 and last < width:
                numbers[position] = _index_of(prefix[position] * width + last, keys, slots)
        low, high = begin[picture[sample]], begin[picture[sample] + 1]
        norm = 0.0
        for position in range(start, end):
            count = _count(words, numbers, start, position, end, order)
            if count == 0:
                continue
            number = numbers[position]
            weight = count * (idf[number] if number >= 0 else unknown)
            norm += weight * weight
            if number < 0:
                continue
            row = low + np.searchsorted(grams[low:high], number)
            while row < high and grams[row] == number:
                pair = offset[sample] + references[row] - first[sample]
                result[pair] += min(weight, weights[row]) * weights[row]
                row += 1
        norm = np.sqrt(norm)
        limit = offset[sample + 1] if sample + 1 < len(lengths) else pairs
        for pair in range(offset[sample], limit):
            length = norm * norms[first[sample] + pair - offset[sample]]
            if length != 0.0:
                result[pair] /= length
        start += lengths[sample]
    return result, numbers


@_compile
def _count(
    words: Integers, numbers: Integers, start: int, position: int, end: int, order: int
) -> int:
    """How often the n-gram occurs in its sample; 0 behind its first occurrence."""
    count = 1
    for other in range(start, end):
        if other == position or numbers[other] != numbers[position]:
            continue
        same = True
        if numbers[position] < 0:
            for step in range(order):
                if words[other + step] != words[position + step]:
                    same = False
                    break
        if same:
            if other < position:
                return 0
            count += 1
    return count
