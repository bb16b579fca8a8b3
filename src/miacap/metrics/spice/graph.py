"""Scene graphs: objects with attributes, joined by relations, built by merging equal meanings."""

from collections.abc import Iterable, Sequence

from miacap.metrics.spice.concepts import Concept, Lexicon
from miacap.metrics.spice.sharing import Sharing

Tuple = Sequence[str]
"""(object,), (object, attribute) or (subject, object, relation), each part a phrase."""

Proposition = tuple[Concept, ...]
"""What is matched: (object,), (object, attribute) or (subject, relation, object)."""


class SceneGraph:
    """One graph for a candidate, or one for all references of a picture, filled in order.

    The order of tuples matters: a phrase that is similar to two objects joins the more similar
    one as it stands at that moment, the older one if both are equally similar.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._objects = Sharing()
        # Phrase to index: the object that once took a phrase in is the only one with that word,
        # and the most similar one ever after.
        self._known: dict[str, int] = {}
        self._attributes: dict[int, Sharing] = {}  # of each object, by its index
        self._relations: dict[tuple[int, int], Sharing] = {}  # by subject and target

    def add(self, tuples: Iterable[Tuple]) -> "SceneGraph":
        """Add the tuples of one caption. Raises ValueError for one without 1 to 3 parts."""
        for parts in tuples:
            if len(parts) == 1:
                self._object(parts[0])
            elif len(parts) == 2:
                self._add_attribute(parts[0], parts[1])
            elif len(parts) == 3:
                self._add_relation(parts[0], parts[1], parts[2])
            else:
                raise ValueError(f"A tuple has 1 to 3 parts, not {len(parts)}: {parts!r}")
        return self

    def propositions(self) -> list[Proposition]:
        """Objects, attributes and relations of the graph in matching order, all different."""
        objects = self._objects
        result: list[Proposition] = [(concept,) for concept in objects]
        for index, attributes in self._attributes.items():
            result.extend((objects[index], attribute) for attribute in attributes)
        for (subject, target), relations in self._relations.items():
            result.extend((objects[subject], relation, objects[target]) for relation in relations)
        return sorted(result, key=_order)

    def _object(self, phrase: str) -> int:
        """Give the index of the object that a phrase stands for, a new one if there is none."""
        index = self._known.get(phrase)
        if index is None:
            index = self._known[phrase] = self._first_time(self._lexicon.concept(phrase))
        return index

    def _first_time(self, concept: Concept) -> int:
        best, best_similarity = -1, 0.0
        for index in self._objects.near(concept):
            similarity = self._objects[index].similarity(concept)
            if similarity > best_similarity:
                best, best_similarity = index, similarity
        if best < 0:
            self._objects.append(concept)
            return len(self._objects) - 1
        self._objects.merge(best, concept)
        return best

    def _add_attribute(self, phrase: str, attribute: str) -> None:
        attributes = self._attributes.setdefault(self._object(phrase), Sharing())
        _add(attributes, self._lexicon.concept(attribute))

    def _add_relation(self, subject: str, target: str, relation: str) -> None:
        ends = self._object(subject), self._object(target)
        relations = self._relations.setdefault(ends, Sharing())
        _add(relations, self._lexicon.concept(relation.removeprefix("be ")))


def _add(known: Sharing, new: Concept) -> None:
    """Add a concept unless an equal one is known; the first that it matches takes it in."""
    near = known.near(new)
    if any(known[index].same(new) for index in near):
        return
    for index in near:
        if known[index].matches(new):
            known.merge(index, new)
            return
    known.append(new)


def _order(proposition: Proposition) -> tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]:
    """Sort key: part by part, a proposition before those that it begins."""
    return tuple(part.sort_key for part in proposition)
