"""Distances of many options at once, by whole numbers as sets of words.

A long caption of few words has thousands of options at each position, and every path needs the
sum of |first word - position| over those that it could still take. A set of words is a whole number
with one bit a word. The sum of its members is the sum, over the bits b of an index, of 2**b times
the number of members with bit b set: a few operations on numbers instead of one for each option.
"""

import functools
from collections.abc import Sequence

from miacap.metrics.meteor.matches import Option


class Run:
    """Neighbouring options whose first words rise.

    Args:
        entries: all options of a position.
        begin: index of the run's first.
        end: index after its last.

    Attributes:
        mask: first words as bits.
        beginning: first word to the indices of the options that begin there.
    """

    def __init__(self, entries: Sequence[Option], begin: int, end: int) -> None:
        self.begin, self.end = begin, end
        self.mask = 0
        self.beginning: dict[int, list[int]] = {}
        self._entries = entries
        # First words by the options' length; equal options lie in layers above each other.
        self._layers: dict[int, list[int]] = {}
        for index in range(begin, end):
            entry = entries[index]
            bit = 1 << entry.start
            self.mask |= bit
            self.beginning.setdefault(entry.start, []).append(index)
            layers = self._layers.setdefault(entry.length, [])
            for number, layer in enumerate(layers):
                if not layer & bit:
                    layers[number] |= bit
                    break
            else:
                layers.append(bit)

    def distance(self, begin: int, end: int, taken: int, position: int) -> int:
        """Give the sum of |first word - position| of the free options from begin to before end.

        Args:
            begin: index of an option of the run.
            end: index up to the run's end.
            taken: candidate words that are taken, as bits.
            position: reference word.
        """
        total = 0
        # Options at the edges that share their first word with one outside are counted one by one.
        while begin < end and begin > self.begin and self._start(begin) == self._start(begin - 1):
            total += self._alone(begin, taken, position)
            begin += 1
        while begin < end and end < self.end and self._start(end) == self._start(end - 1):
            end -= 1
            total += self._alone(end, taken, position)
        if begin == end:
            return total
        first, last = self._start(begin), self._start(end - 1)
        window = (1 << last + 1) - (1 << first)
        for length, layers in self._layers.items():
            blocked = taken
            for shift in range(1, length):
                blocked |= taken >> shift
            for layer in layers:
                total += _distance(layer & window & ~blocked, position)
        return total

    def _start(self, index: int) -> int:
        return self._entries[index].start

    def _alone(self, index: int, taken: int, position: int) -> int:
        entry = self._entries[index]
        return 0 if taken & entry.mask else abs(entry.start - position)


def _distance(words: int, position: int) -> int:
    """Give the sum of |word - position| over a set of words."""
    after = words >> position
    before = words ^ (after << position)
    return (
        _sum(after)  # each counted from the position
        + position * before.bit_count()
        - _sum(before)
    )


def _sum(words: int) -> int:
    """Give the sum of a set's members."""
    return sum(
        (words & plane).bit_count() << power
        for power, plane in enumerate(_planes(words.bit_length().bit_length()))
    )


@functools.cache
def _planes(powers: int) -> tuple[int, ...]:
    """Give for each b < powers the set of all numbers below 2**powers with bit b set."""
    everything = (1 << (1 << powers)) - 1
    return tuple(everything // ((1 << (1 << b)) + 1) << (1 << b) for b in range(powers))
