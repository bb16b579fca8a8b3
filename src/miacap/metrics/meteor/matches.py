"""All matches of a candidate with a reference, before the search chooses among them.

A match ties some words of the candidate to some of the reference by one of four modules. Options
are gathered by the reference position at which they begin, in the order in which the official
program adds them: exact, stem, synonym (each by candidate position), then paraphrases, first those
that the table lists under the reference's phrase, then those under the candidate's. An entry in
both directions is two options; that matters, as an option is certain only where it is alone.
Identical sentences match exactly and in no other way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from miacap.metrics.meteor.lexicon import EXACT, PARAPHRASE, Lexicon
from miacap.metrics.meteor.paraphrases import Occurrences, Paraphrases


class Option(NamedTuple):
    """One match that could begin at a reference position.

    Attributes:
        start: first candidate word.
        length: candidate words.
        reach: reference words.
        module: 0 exact, 1 stem, 2 synonym, 3 paraphrase.
        mask: candidate words as bits.
        points: what the search counts for it on both sides together.
    """

    start: int
    length: int
    reach: int
    module: int
    mask: int
    points: int


def option(start: int, length: int, reach: int, module: int) -> Option:
    """Make an option.

    A word counts one point if exact, else half a point, but each side is cut to a whole number:
    a one-word stem or synonym counts nothing, a paraphrase of two words by one counts one.
    """
    points = length + reach if module == EXACT else length // 2 + reach // 2
    return Option(start, length, reach, module, ((1 << length) - 1) << start, points)


class Options:
    """Options of one reference position, and what they cover.

    Attributes:
        entries: in the order in which the search tries them.
        once, twice: candidate words covered at least once, at least twice, as bits.
        reach_once, reach_twice: the same for reference words, counted from the position.
        order: what `wide` works out about many entries, kept for the next position like this.
    """

    __slots__ = ("entries", "once", "order", "reach_once", "reach_twice", "twice")

    def __init__(self, entries: Sequence[Option]) -> None:
        self.entries = entries
        self.order: Any = None
        self.once = self.twice = self.reach_once = self.reach_twice = 0
        for entry in entries:
            self.twice |= self.once & entry.mask
            self.once |= entry.mask
            reach = (1 << entry.reach) - 1
            self.reach_twice |= self.reach_once & reach
            self.reach_once |= reach


NOTHING = Options(())


@dataclass(frozen=True)
class Phrases:
    """What the paraphrase table says about the sentences of many pictures at once.

    Attributes:
        candidates: for each picture, (start, length, node) of its candidate's phrases.
        references: for each picture and reference, the same.
        listed: node of a candidate's phrase to nodes of references' phrases, with the ranks of
            the entries: under the reference's phrase, and under the candidate's.
    """

    candidates: list[list[tuple[int, int, int]]]
    references: list[list[list[tuple[int, int, int]]]]
    listed: dict[int, dict[int, tuple[int | None, int | None]]]

    @classmethod
    def find(
        cls,
        table: Paraphrases,
        candidates: Sequence[Sequence[str]],
        references: Sequence[Sequence[Sequence[str]]],
    ) -> "Phrases":
        """Look all sentences up in the table; only phrases that can match are kept."""
        flat = [reference for group in references for reference in group]
        ours, theirs = table.find(candidates), table.find(flat)
        our_nodes, their_nodes = np.unique(ours.node), np.unique(theirs.node)
        listed: dict[int, dict[int, tuple[int | None, int | None]]] = {}
        for node, other, rank in _rows(*table.entries(our_nodes, their_nodes)):
            listed.setdefault(node, {})[other] = (None, rank)
        for other, node, rank in _rows(*table.entries(their_nodes, our_nodes)):
            known = listed.setdefault(node, {}).get(other, (None, None))
            listed[node][other] = (rank, known[1])
        nodes = {other for others in listed.values() for other in others}
        by_reference = iter(_by_sentence(theirs, nodes, len(flat)))
        return cls(
            _by_sentence(ours, listed, len(candidates)),
            [[next(by_reference) for _ in group] for group in references],
            listed,
        )


def _rows(*columns: NDArray[np.int64]) -> Iterator[tuple[int, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)


def _by_sentence(
    occurrences: Occurrences, nodes: Iterable[int], sentences: int
) -> list[list[tuple[int, int, int]]]:
    kept = occurrences.keep(np.isin(occurrences.node, np.fromiter(nodes, np.int64)))
    lists: list[list[tuple[int, int, int]]] = [[] for _ in range(sentences)]
    for sentence, start, length, node in _rows(kept.sentence, kept.start, kept.length, kept.node):
        lists[sentence].append((start, length, node))
    return lists


class CandidateMatches:
    """Options of one candidate against any of its picture's references.

    Args:
        candidate: its words.
        phrases: its phrases that have partners in the table.
        vocabulary: the words of all its references.
        lexicon: relations between single words.
        listed: as in `Phrases`.
    """

    def __init__(
        self,
        candidate: Sequence[str],
        phrases: Sequence[tuple[int, int, int]],
        vocabulary: frozenset[str],
        lexicon: Lexicon,
        listed: Mapping[int, Mapping[int, tuple[int | None, int | None]]],
    ) -> None:
        self._candidate = candidate
        self._listed = listed
        self._phrases = phrases
        self._words = _single_words(candidate, vocabulary, lexicon)
        self._partners: dict[int, list[tuple[int, int, int]]] = {}
        for start, length, node in phrases:
            for other in listed[node]:
                self._partners.setdefault(other, []).append((start, length, node))
        self._made: dict[tuple[str, tuple[tuple[int, int], ...]], Options] = {}

    def against(
        self, reference: Sequence[str], phrases: Sequence[tuple[int, int, int]]
    ) -> list[Options]:
        """Give the options at each position of a reference.

        Args:
            reference: its words.
            phrases: its phrases that have partners in the table.
        """
        if reference == self._candidate:
            return self._exact(reference)
        words = self._words
        options = [words.get(word, NOTHING) for word in reference]
        partners = self._partners
        begin: dict[int, list[tuple[int, int]]] = {}
        for position, length, node in phrases:
            if node in partners:
                begin.setdefault(position, []).append((length, node))
        for position, here in begin.items():
            key = (reference[position], tuple(sorted(here)))
            made = self._made.get(key)
            if made is None:
                more = self._paraphrases(key[1])
                made = self._made[key] = Options((*options[position].entries, *more))
            options[position] = made
        return options

    def _exact(self, reference: Sequence[str]) -> list[Options]:
        kept = {
            word: Options([e for e in self._words[word].entries if e.module == EXACT])
            for word in set(reference)
        }
        return [kept[word] for word in reference]

    def _paraphrases(self, here: Sequence[tuple[int, int]]) -> list[Option]:
        ranked: list[tuple[tuple[int, int, int, int], Option]] = []
        for reach, node in here:
            for start, length, ours in self._partners[node]:
                under_reference, under_candidate = self._listed[ours][node]
                entry = option(start, length, reach, PARAPHRASE)
                if under_reference is not None:
                    ranked.append(((0, reach, under_reference, start), entry))
                if under_candidate is not None:
                    ranked.append(((1, start, length, under_candidate), entry))
        return [entry for _, entry in sorted(ranked)]


def _single_words(
    candidate: Sequence[str], vocabulary: frozenset[str], lexicon: Lexicon
) -> dict[str, Options]:
    """Give the one-word options for each word of the references."""
    matches: dict[str, list[tuple[int, int]]] = {}
    for start, word in enumerate(candidate):
        related = lexicon.related(word)
        for other, modules in related.items():
            if other not in vocabulary:
                continue
            for module in modules:
                matches.setdefault(other, []).append((module, start))
    return {
        word: Options([option(start, 1, 1, module) for module, start in sorted(pairs)])
        for word, pairs in matches.items()
    }
