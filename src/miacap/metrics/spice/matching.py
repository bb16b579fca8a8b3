"""Which propositions of a candidate are found among those of its references, and the counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miacap.metrics.spice import sharing
from miacap.metrics.spice.categories import CATEGORIES, categories_of
from miacap.metrics.spice.graph import Proposition, SceneGraph

_LISTED = ("Cardinality", "Color", "Size")
_ROW_OF_LENGTH = [CATEGORIES.index(name) for name in ("All", "Object", "Attribute", "Relation")]


@dataclass(frozen=True)
class Matching:
    """One picture's propositions, each with whether it was matched, in matching order."""

    candidate: list[tuple[Proposition, bool]]
    references: list[tuple[Proposition, bool]]

    def printed(self) -> tuple[list["PrintedTuple"], list["PrintedTuple"]]:
        """Candidate's and references' tuples as names, matched ones first."""
        return _printed(self.candidate), _printed(self.references)


PrintedTuple = tuple[tuple[str, ...], bool]
"""Names of a proposition's parts (merged words joined by "/") and whether it was matched."""


def match(candidate: SceneGraph, references: SceneGraph) -> Matching:
    """Match every proposition of the candidate with the first one that agrees in all parts.

    A reference proposition may serve several of the candidate; only the first that agrees is
    marked as matched.
    """
    wanted = references.propositions()
    finder = _Finder(wanted)
    matched = [False] * len(wanted)
    propositions: list[tuple[Proposition, bool]] = []
    for proposition in candidate.propositions():
        index = finder.first(proposition)
        if index is not None:
            matched[index] = True
        propositions.append((proposition, index is not None))
    return Matching(propositions, list(zip(wanted, matched, strict=True)))


class _Finder:
    """Propositions, found by what their parts mean."""

    def __init__(self, propositions: Sequence[Proposition]) -> None:
        self._propositions = propositions
        self._indices: dict[int, list[int]] = {}  # by number of parts
        for index, proposition in enumerate(propositions):
            self._indices.setdefault(len(proposition), []).append(index)
        self._parts: dict[int, list[sharing.Sharing]] = {}

    def first(self, proposition: Proposition) -> int | None:
        """Give the index of the first proposition that agrees in all parts, if there is one."""
        indices: Sequence[int] = self._indices.get(len(proposition), ())
        if len(indices) > sharing.FEW:
            indices = self._near(proposition, indices)
        for index in indices:
            if _agree(proposition, self._propositions[index]):
                return index
        return None

    def _near(self, proposition: Proposition, indices: Sequence[int]) -> Sequence[int]:
        """Leave out most that cannot agree, by the part in which the fewest can."""
        parts = self._parts.get(len(proposition))
        if parts is None:
            columns = zip(*(self._propositions[index] for index in indices), strict=True)
            parts = self._parts[len(proposition)] = [sharing.Sharing(column) for column in columns]
        part, concept = min(
            zip(parts, proposition, strict=True), key=lambda pair: pair[0].how_many(pair[1])
        )
        return [indices[row] for row in part.near(concept)]


def counts(matching: Matching) -> NDArray[np.int64]:
    """7 x 3: a row for each of `CATEGORIES` of true positives, candidate's and references' size.

    A category is matched within itself: a color of the candidate that agrees with an attribute
    outside the list of colors ("red" with "red/crimson") is matched in All and Attribute alone.
    """
    said = _by_category([proposition for proposition, _ in matching.candidate])
    wanted = _by_category([proposition for proposition, _ in matching.references])
    table = np.zeros((len(CATEGORIES), 3), dtype=np.int64)
    for row, category in enumerate(CATEGORIES):
        ours, theirs = said.get(category, []), wanted.get(category, [])
        table[row] = 0, len(ours), len(theirs)
        if category in _LISTED and ours and theirs:
            finder = _Finder(theirs)
            table[row, 0] = sum(finder.first(one) is not None for one in ours)
    for proposition, hit in matching.candidate:
        table[0, 0] += hit
        table[_ROW_OF_LENGTH[len(proposition)], 0] += hit
    return table


def _by_category(propositions: list[Proposition]) -> dict[str, list[Proposition]]:
    result: dict[str, list[Proposition]] = {}
    for proposition in propositions:
        for category in categories_of(proposition):
            result.setdefault(category, []).append(proposition)
    return result


def _agree(first: Proposition, second: Proposition) -> bool:
    for one, other in zip(first, second, strict=True):  # noqa: SIM110 - twice as fast as all()
        if not one.matches(other):
            return False
    return True


def _printed(propositions: list[tuple[Proposition, bool]]) -> list[PrintedTuple]:
    rows = [(tuple(part.name for part in parts), hit) for parts, hit in propositions]
    return sorted(rows, key=lambda row: not row[1])
