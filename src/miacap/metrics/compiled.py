"""The counting of words and n-grams as compiled loops; needs the extra [fast] (numba).

Each function gives to the last bit what the numpy form gives (`corpus`, `ngrams`, `bleu`,
`cider`, `rouge`): sums run in the same order, logarithms come in as tables.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from miacap.metrics.arrays import Flags, Floats, Integers

Loop = TypeVar("Loop", bound=Callable[..., Any])
Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int32]


def _compile(loop: Loop) -> Loop:
    try:
        return cast(Loop, numba.njit(cache=True)(loop))
    except RuntimeError:  # no folder to keep compiled code in
        return cast(Loop, numba.njit(loop))


@_compile
def _same(text: Bytes, begin: int, end: int, other_begin: int, other_end: int) -> bool:
    if end - begin != other_end - other_begin:
        return False
    for offset in range(end - begin):  # noqa: SIM110 - numba compiles loops, not generators
        if text[begin + offset] != text[other_begin + offset]:
            return False
    return True


@_compile
def _word_table(hashes: Integers, known: int, size: int) -> Numbers:
    table = np.full(size, -1, np.int32)
    for number in range(known):
        slot = (hashes[number] ^ (hashes[number] >> 17)) & (size - 1)
        while table[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        table[slot] = number
    return table


@_compile
def number_words(text: Bytes, sentences: int) -> tuple[Integers, Integers, Integers, Integers]:
    """Number the words of sentences that are joined by newlines, in UTF-8.

    Returns:
        ids of all words; words of each sentence; where the first occurrence of each
        numbered word begins and ends in `text`.
    """
    most = len(text) // 2 + 1
    ids = np.empty(most, np.int64)
    begins, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    hashes = np.empty(most, np.int64)
    lengths = np.zeros(sentences, np.int64)
    size = 1 << 16
    table = np.full(size, -1, np.int32)
    count, known, sentence, position = 0, 0, 0, 0
    total = len(text)
    while position < total:
        byte = text[position]
        if byte == 10:
            sentence += 1
            position += 1
            continue
        if byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31:
            position += 1
            continue
        begin = position
        code = np.int64(1469598103)
        while position < total:
            byte = text[position]
            if byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31:
                break
            code = ((code ^ np.int64(byte)) * np.int64(16777619)) & np.int64(0xFFFFFFFFFF)
            position += 1
        slot = (code ^ (code >> 17)) & (size - 1)
        while True:
            number = int(table[slot])
            if number < 0:
                number = known
                begins[number], ends[number], hashes[number] = begin, position, code
                table[slot] = number
                known += 1
                break
            if hashes[number] == code and _same(
                text, begins[number], ends[number], begin, position
            ):
                break
            slot = (slot + 1) & (size - 1)
        ids[count] = number
        count += 1
        lengths[sentence] += 1
        if known * 2 > size:
            size *= 4
            table = _word_table(hashes, known, size)
    return ids[:count].copy(), lengths, begins[:known].copy(), ends[:known].copy()


@_compile
def number_ngrams(
    words: Integers, lengths: Integers, picture: Integers, candidate: Flags, width: int, orders: int
) -> tuple[Numbers, Integers]:
    """Number all n-grams; count in how many pictures' references each one is.

    An n-gram is its first n - 1 words' number and its last word. Where those n - 1 words occur
    once only, so does the n-gram: it gets a number without a search.

    Returns:
        numbers, orders x positions (-1 where the sentence ends); document frequencies.
    """
    most = len(words)
    numbers = np.full((orders, most), -1, np.int32)
    frequency = np.zeros(most * orders, np.int32)
    last = np.full(most * orders, -1, np.int32)
    again = np.zeros(most * orders, np.uint8)
    bits = 1
    while (1 << bits) <= most * orders:
        bits += 1
    low = (np.int64(1) << bits) - 1
    known = 0
    for order in range(orders):
        searched = width
        if order:
            searched = 0
            for position in range(most):
                number = int(numbers[order - 1, position])
                searched += number >= 0 and again[number]
        mask = 1
        while mask < 2 * searched:
            mask *= 2
        table = np.full(mask, -1, np.int64)
        mask -= 1
        start = 0
        for sentence in range(len(lengths)):
            end = start + lengths[sentence]
            for position in range(start, end - order):
                prefix = -1
                if order:
                    prefix = int(numbers[order - 1, position])
                number = -1
                if order == 0 or again[prefix]:
                    key = (prefix + 1) * width + int(words[position + order])
                    slot = ((key * 0x9E3779B97F4A7C1) >> 20) & mask
                    while table[slot] != -1:
                        if table[slot] >> bits == key:
                            number = int(table[slot] & low)
                            again[number] = 1
                            break
                        slot = (slot + 1) & mask
                    if number < 0:
                        table[slot] = (key << bits) | known
                if number < 0:
                    number = known
                    known += 1
                numbers[order, position] = number
                if not candidate[sentence] and last[number] != picture[sentence]:
                    last[number] = picture[sentence]
                    frequency[number] += 1
            start = end
    return numbers, frequency[:known].astype(np.int64)


@_compile
def compare(
    numbers: Numbers,
    lengths: Integers,
    picture: Integers,
    candidate: Flags,
    pictures: int,
    idf: Floats,
    penalties: Floats,
) -> tuple[Integers, Floats]:
    """Count each candidate's right n-grams (BLEU) and sum its clipped cosines (CIDEr-D).

    Args:
        numbers: of n-grams, as `number` gives them.
        lengths: words of each sentence.
        picture: whose sentence each is.
        candidate: whether each is a candidate; a picture's candidate comes first.
        pictures: how many there are.
        idf: weight of each n-gram.
        penalties: factor of each sentence for its length.

    Returns:
        right n-grams and cosines summed over references, each pictures x orders.
    """
    orders = numbers.shape[0]
    correct = np.zeros((pictures, orders), np.int64)
    similarity = np.zeros((pictures, orders))
    longest = 1
    for length in lengths:  # numba compiles this far sooner than lengths.max()
        if length > longest:
            longest = length
    own = np.empty((orders, longest), np.int64)
    others = np.empty((orders, longest), np.int64)
    best = np.zeros((orders, longest), np.int64)
    own_size, other_size = np.zeros(orders, np.int64), np.zeros(orders, np.int64)
    own_norm = np.zeros(orders)
    own_count, count = np.zeros(len(idf), np.int64), np.zeros(len(idf), np.int64)
    start = 0
    for sentence in range(len(lengths)):
        end = start + lengths[sentence]
        if candidate[sentence]:
            _tally(numbers, start, end, own, own_size, own_count)
            best[:] = 0
            for order in range(orders):
                own_norm[order] = _norm(own[order], own_size[order], own_count, idf)
        else:
            _tally(numbers, start, end, others, other_size, count)
            for order in range(orders):
                norm = _norm(others[order], other_size[order], count, idf) * own_norm[order]
                dot = 0.0
                for index in range(own_size[order]):
                    gram = own[order, index]
                    if count[gram] > 0:
                        best[order, index] = max(best[order, index], count[gram])
                        weight = count[gram] * idf[gram]
                        dot += min(own_count[gram] * idf[gram], weight) * weight
                if norm != 0.0:
                    dot /= norm
                similarity[picture[sentence], order] += dot * penalties[sentence]
            _forget(others, other_size, count)
        start = end
        if sentence + 1 == len(lengths) or candidate[sentence + 1]:
            for order in range(orders):
                for index in range(own_size[order]):
                    correct[picture[sentence], order] += min(
                        best[order, index], own_count[own[order, index]]
                    )
            _forget(own, own_size, own_count)
    return correct, similarity


@_compile
def _norm(grams: Integers, size: int, counts: Integers, idf: Floats) -> float:
    total = 0.0
    for index in range(size):
        weight = counts[grams[index]] * idf[grams[index]]
        total += weight * weight
    return float(np.sqrt(total))


@_compile
def _tally(
    numbers: Numbers, start: int, end: int, grams: Integers, sizes: Integers, counts: Integers
) -> None:
    for order in range(numbers.shape[0]):
        size = 0
        for position in range(start, end - order):
            gram = numbers[order, position]
            if counts[gram] == 0:
                grams[order, size] = gram
                size += 1
            counts[gram] += 1
        sizes[order] = size


@_compile
def _forget(grams: Integers, sizes: Integers, counts: Integers) -> None:
    for order in range(len(sizes)):
        for index in range(sizes[order]):
            counts[grams[order, index]] = 0
        sizes[order] = 0


@_compile
def longest_common(words: Integers, lengths: Integers, candidate: Flags, width: int) -> Integers:
    """LCS length of each sentence with its picture's candidate (0 for candidates)."""
    result = np.zeros(len(lengths), np.int64)
    masks = np.zeros(width, np.int64)
    own_start, own_length, start = 0, 0, 0
    for sentence in range(len(lengths)):
        length = lengths[sentence]
        if candidate[sentence]:
            if own_length <= 62:
                for index in range(own_start, own_start + own_length):
                    masks[words[index]] = 0
            own_start, own_length = start, length
            if own_length <= 62:
                for index in range(own_length):
                    masks[words[own_start + index]] |= np.int64(1) << index
        elif own_length <= 62:
            full = (np.int64(1) << own_length) - 1
            row = full
            for index in range(start, start + length):
                kept = row & masks[words[index]]
                row = ((row + kept) | (row - kept)) & full
            result[sentence] = own_length
            while row:
                row &= row - 1
                result[sentence] -= 1
        else:
            result[sentence] = _table(
                words[own_start : own_start + own_length], words[start : start + length]
            )
        start += length
    return result


@_compile
def _table(left: Integers, right: Integers) -> int:
    row = np.zeros(len(right) + 1, np.int64)
    for word in left:
        corner = np.int64(0)
        for index in range(len(right)):
            above = row[index + 1]
            row[index + 1] = corner + 1 if right[index] == word else max(above, row[index])
            corner = above
    return int(row[len(right)])
