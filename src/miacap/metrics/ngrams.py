"""The distinct n-grams of every sentence, with counts, and who shares them within a picture.

One sort an order does it all. A position's key is (number of the n-gram without its last word,
last word); sorted by (key, position), equal n-grams stand together, within them
the pictures in order, and within a picture first the candidate, then its references.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from miacap.metrics.arrays import Flags, Integers
from miacap.metrics.corpus import Corpus


@dataclass(frozen=True)
class NGrams:
    """Rows for the distinct n-grams of one order: one row a (n-gram, sentence).

    Rows are sorted by n-gram, then by sentence.

    Attributes:
        order: n.
        gram: number of the row's n-gram.
        sentence: the sentence that holds it.
        first: position of its first occurrence in `Corpus.words`.
        count: how often the sentence holds it.
        partner: for a reference's row the row of the same n-gram in the picture's
            candidate, or -1; -1 for the candidates' own rows.
        document_frequency: by n-gram, the number of pictures with it in any reference.
        key: by n-gram, (number of the n-gram without its last word) * width + last word; sorted.
    """

    order: int
    gram: Integers
    sentence: Integers
    first: Integers
    count: Integers
    partner: Integers
    document_frequency: Integers
    key: Integers

    def in_text_order(self, positions: int) -> Integers:
        """Rows in the order in which the text shows them first."""
        row_at = np.full(positions, -1, dtype=np.int64)
        row_at[self.first] = np.arange(len(self.first))
        return row_at[row_at >= 0]


def distinct(corpus: Corpus, orders: int = 4) -> Iterator[NGrams]:
    """Yield the n-grams of orders 1, 2, ... `orders`."""
    words = corpus.words
    sentence = np.repeat(np.arange(len(corpus.lengths)), corpus.lengths)
    left = np.repeat(corpus.lengths, corpus.lengths) - (
        np.arange(len(words)) - np.repeat(corpus.starts, corpus.lengths)
    )
    width = max(corpus.width, 1)
    prefix = np.zeros(len(words), dtype=np.int64)
    for order in range(1, orders + 1):
        positions = np.flatnonzero(left >= order)
        keys = prefix[positions] * width + words[positions + order - 1]
        ordered, positions = _sort(keys, positions)
        new_gram = _changes(ordered)
        gram_of = np.cumsum(new_gram) - 1
        prefix[positions] = gram_of
        yield _rows(
            order, corpus, sentence[positions], positions, new_gram, gram_of, ordered[new_gram]
        )


def _sort(keys: Integers, positions: Integers) -> tuple[Integers, Integers]:
    """Sort by key, then by position (which is ascending already)."""
    if not len(keys):
        return keys, positions
    bits = int(positions[-1]).bit_length()
    if int(keys.max()).bit_length() + bits < 63:
        # Sorting one number is several times faster than an indirect sort.
        packed = np.sort((keys << bits) | positions)
        return packed >> bits, packed & ((1 << bits) - 1)
    order = np.argsort(keys, kind="stable")
    return keys[order], positions[order]


def _changes(values: Integers) -> Flags:
    changed = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=changed[1:])
    return changed


def _rows(
    order: int,
    corpus: Corpus,
    sentence_at: Integers,
    positions: Integers,
    new_gram: Flags,
    gram_at: Integers,
    key: Integers,
) -> NGrams:
    new_row = new_gram | _changes(sentence_at)
    starts = np.flatnonzero(new_row)
    count = np.diff(np.append(starts, len(positions)))
    gram, sentence = gram_at[starts], sentence_at[starts]
    picture, candidate = corpus.picture[sentence], corpus.candidate[sentence]
    group = new_gram[starts] | _changes(picture)
    row = np.arange(len(starts))
    # A picture's candidate comes first in its group: references look back to the group's head.
    head = np.maximum.accumulate(np.where(group, row, 0)) if len(row) else row
    partner = np.where(~candidate & candidate[head], head, -1)
    # One more picture wherever a group holds a reference: at its head, or just behind a candidate.
    previous_is_head = np.zeros(len(row), dtype=np.bool_)
    previous_is_head[1:] = group[:-1] & candidate[:-1] & ~group[1:]
    first_reference = ~candidate & (group | previous_is_head)
    grams = int(gram[-1]) + 1 if len(gram) else 0
    frequency = np.bincount(gram[first_reference], minlength=grams)
    return NGrams(order, gram, sentence, positions[starts], count, partner, frequency, key)
