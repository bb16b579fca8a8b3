"""Scene graphs: objects with attributes, joined by relations, built by merging equal meanings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from miacap.metrics.spice.concepts import Concept, Lexicon

Tuple = Sequence[str]
"""(object,), (object, attribute) or (subject, object, relation), each part a phrase."""

Proposition = tuple[Concept, ...]
"""What is matched: (object,), (object, attribute) or (subject, relation, object)."""


@dataclass(eq=False)
class _Node:
    concept: Concept
    attributes: list[Concept] = field(default_factory=list)


@dataclass(eq=False)
class _Edge:
    subject: _Node
    target: _Node
    relation: Concept


class SceneGraph:
    """One graph for a candidate, or one for all references of a picture, filled in order.

    The order of tuples matters: a phrase that is similar to two objects joins the more similar
    one as it stands at that moment, the older one if both are equally similar.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._nodes: list[_Node] = []
        self._edges: list[_Edge] = []

    def add(self, tuples: Iterable[Tuple]) -> "SceneGraph":
        """Add the tuples of one caption. Raises ValueError for one without 1 to 3 parts."""
        for parts in tuples:
            if len(parts) == 1:
                self._node(parts[0])
            elif len(parts) == 2:
                self._add_attribute(parts[0], parts[1])
            elif len(parts) == 3:
                self._add_relation(parts[0], parts[1], parts[2])
            else:
                raise ValueError(f"A tuple has 1 to 3 parts, not {len(parts)}: {parts!r}")
        return self

    def propositions(self) -> list[Proposition]:
        """Objects, attributes and relations of the graph in matching order, all different."""
        found: list[Proposition] = []
        for node in self._nodes:
            found.append((node.concept,))
            found.extend((node.concept, attribute) for attribute in node.attributes)
        found.extend(
            (edge.subject.concept, edge.relation, edge.target.concept) for edge in self._edges
        )
        return sorted(found, key=_order)

    def _node(self, phrase: str) -> _Node:
        concept = self._lexicon.concept(phrase)
        best, best_similarity = None, 0.0
        for node in self._nodes:
            if node.concept.same(concept):
                return node
            similarity = node.concept.similarity(concept)
            if similarity > best_similarity:
                best, best_similarity = node, similarity
        if best is None:
            best = _Node(concept)
            self._nodes.append(best)
        else:
            best.concept = best.concept.merged(concept)
        return best

    def _add_attribute(self, phrase: str, attribute: str) -> None:
        node = self._node(phrase)
        new = self._lexicon.concept(attribute)
        if any(known.same(new) for known in node.attributes):
            return
        for index, known in enumerate(node.attributes):
            if known.matches(new):
                node.attributes[index] = known.merged(new)
                return
        node.attributes.append(new)

    def _add_relation(self, subject: str, target: str, relation: str) -> None:
        head, tail = self._node(subject), self._node(target)
        new = self._lexicon.concept(relation.removeprefix("be "))
        between = [e for e in self._edges if e.subject is head and e.target is tail]
        if any(edge.relation.same(new) for edge in between):
            return
        for edge in between:
            if edge.relation.matches(new):
                edge.relation = edge.relation.merged(new)
                return
        self._edges.append(_Edge(head, tail, new))


def _order(proposition: Proposition) -> tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]:
    """Sort key: part by part, a proposition before those that it begins."""
    return tuple(part.sort_key for part in proposition)
