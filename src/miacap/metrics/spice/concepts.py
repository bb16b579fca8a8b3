"""Concepts: the words and the WordNet synsets that one part of a tuple stands for.

A concept begins as one phrase ("fire hydrant") with the synsets of METEOR's dictionary. When the
graph finds a second phrase with a shared meaning, both become one concept whose words and synsets
are the union. Two concepts match if they share a word or a synset (Anderson et al. 2016, sec. 3.2).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

from miacap.metrics.meteor.lexicon import java_hash

_Item = TypeVar("_Item")


class Dictionary(Protocol):
    """Whatever knows the synsets of a phrase: `miacap.metrics.meteor.dictionary.Dictionary`."""

    def synsets(self, phrase: str) -> frozenset[int]:
        """Synset numbers of a lower-case phrase whose blanks are underscores."""
        ...


def _table_size(count: int) -> int:
    """Buckets of a Java hash table that has grown from 16 at a load of three quarters."""
    size = 16
    while count > size * 3 // 4:
        size *= 2
    return size


def _table_order(items: Iterable[_Item], code: Callable[[_Item], int]) -> tuple[_Item, ...]:
    """Iteration order of a Java HashSet into which `items` were put one after the other.

    The official program compares and prints concepts in this order, so which of several equal
    references is marked as matched depends on it.
    """
    unique = list(dict.fromkeys(items))
    if len(unique) < 2:
        return tuple(unique)
    mask = _table_size(len(unique)) - 1
    codes = {item: code(item) for item in unique}
    return tuple(sorted(unique, key=lambda item: (codes[item] ^ codes[item] >> 16) & mask))


@dataclass(frozen=True)
class Concept:
    """One part of a tuple: `words` in the order in which they are printed, and their synsets."""

    words: tuple[str, ...]
    synsets: frozenset[int]

    @cached_property
    def word_set(self) -> frozenset[str]:
        """The words without their order."""
        return frozenset(self.words)

    @cached_property
    def name(self) -> str:
        """What is printed, and looked up in the lists of colours, sizes and numbers."""
        return "/".join(self.words)

    @cached_property
    def sort_key(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Where the concept stands among others when tuples are sorted before matching."""
        return self.words, _table_order(sorted(self.synsets), int)

    def same(self, other: "Concept") -> bool:
        """Whether both have the same words and the same synsets, in whatever order."""
        return self is other or (self.word_set == other.word_set and self.synsets == other.synsets)

    def matches(self, other: "Concept") -> bool:
        """Whether a word or a synset is shared."""
        return (
            self is other
            or not self.word_set.isdisjoint(other.word_set)
            or not self.synsets.isdisjoint(other.synsets)
        )

    def similarity(self, other: "Concept") -> float:
        """1 if a word is shared, else the Jaccard index of the synsets (0 without any)."""
        if not self.word_set.isdisjoint(other.word_set):
            return 1.0
        shared = len(self.synsets & other.synsets)
        return shared / len(self.synsets | other.synsets) if shared else 0.0

    def merged(self, other: "Concept") -> "Concept":
        """Union of both."""
        if self.word_set >= other.word_set and self.synsets >= other.synsets:
            return self
        return Concept(
            _table_order((*self.words, *other.words), java_hash),
            self.synsets | other.synsets,
        )


class Lexicon:
    """Phrases to concepts, each phrase looked up once."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._known: dict[str, Concept] = {}

    def concept(self, phrase: str) -> Concept:
        """The concept of one phrase, as it is before any merging."""
        result = self._known.get(phrase)
        if result is None:
            key = phrase.lower().replace(" ", "_")
            result = Concept((phrase,), self._dictionary.synsets(key))
            self._known[phrase] = result
        return result
