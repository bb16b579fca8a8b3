"""From grammatical relations to SPICE's tuples.

The patterns follow the list in Anderson et al. (2016, sec. 3.1) and the scene graph parser of
Schuster et al. (2015, "Generating Semantically Precise Scene Graphs from Textual Descriptions"),
in their order. A tuple is (object,), (object, attribute) or (subject, object, relation), each
part in its base form.
"""

from collections.abc import Iterable, Iterator

from miacap.metrics.spice.parsing.lemmas import lemma
from miacap.metrics.spice.parsing.pronouns import antecedent
from miacap.metrics.spice.parsing.relations import Relations, relations
from miacap.metrics.spice.parsing.repairs import repair
from miacap.metrics.spice.parsing.words import Row, Word, tree

CaptionTuple = tuple[str, ...]


def tuples(rows: Iterable[Row]) -> list[CaptionTuple]:
    """Tuples of one parsed caption, in the order of the patterns, then its objects."""
    words = tree(rows)
    repair(words)
    for word in words:
        word.lemma = lemma(word.text, word.tag)
    found = list(_Patterns(words, relations(words)).tuples())
    for word in words:  # words that hold each other would wait for the collector of cycles
        word.head = None
        word.children.clear()
    return found


class _Patterns:
    """The patterns over one caption's relations."""

    def __init__(self, words: list[Word], related: Relations) -> None:
        self._words = words
        self._relations = related
        self._meant = {word: antecedent(word) or word for word in words}

    def tuples(self) -> Iterator[CaptionTuple]:
        yield from self._subject_predicate_object()
        yield from self._participle()
        yield from self._subject_predicate()
        yield from self._adjective()
        yield from self._preposition()
        yield from self._possessive()
        yield from self._agent()
        yield from self._number()
        yield from self._compound()
        yield from self._objects()

    def _subject_predicate_object(self) -> Iterator[CaptionTuple]:
        """A man rides a horse; a man stands in a field."""
        for verb, _, subject, _ in self._relations.kind("subject"):
            if verb.is_verb and self._meant[subject].is_noun:
                yield from self._actions(subject, verb, "object", "oblique")

    def _participle(self) -> Iterator[CaptionTuple]:
        """A man riding a horse, one dressed by a tailor; without an object only "looking up"."""
        for noun, _, verb, _ in self._relations.kind("participle"):
            if not verb.is_verb:
                continue
            yield from self._actions(noun, verb, "object", "oblique", "agent")
            bare = not self._relations.of(verb, "object", "oblique", "agent")
            if bare and verb.has("prt", "advmod"):
                yield self._meant[noun].lemma, _predicate(verb)

    def _actions(self, subject: Word, verb: Word, *kinds: str) -> Iterator[CaptionTuple]:
        doer = self._meant[subject]
        for _, _, target, marker in self._relations.of(verb, *kinds):
            done = self._meant[target]
            if done.is_noun and doer is not done:
                yield doer.lemma, done.lemma, f"{_predicate(verb)} {marker}".strip()

    def _subject_predicate(self) -> Iterator[CaptionTuple]:
        """A dog barks; a man is a rider; a dog is tired."""
        for verb, _, subject, _ in self._relations.kind("subject"):
            doer = self._meant[subject]
            if not doer.is_noun or self._relations.of(verb, "object", "oblique"):
                continue
            if verb.lemma == "be":
                for child in verb.having("acomp", "attr"):
                    if child.is_noun or (child.label == "acomp" and child.tag[:1] in "JRV"):
                        yield doer.lemma, child.lemma
            elif verb.is_verb:
                yield doer.lemma, _predicate(verb)

    def _adjective(self) -> Iterator[CaptionTuple]:
        """A red hat; a smiling man."""
        for noun, _, adjective, _ in self._relations.kind("adjective"):
            name = adjective.text if adjective.is_verb else adjective.lemma
            yield self._meant[noun].lemma, name

    def _preposition(self) -> Iterator[CaptionTuple]:
        """A man in a hat; a man in black."""
        for noun, _, target, marker in self._relations.kind("oblique"):
            described = self._meant[target]
            fits = described.is_noun or described.tag in ("CD", "JJ")
            if (noun.is_noun or noun.tag == "CD") and fits and described is not noun:
                yield noun.lemma, described.lemma, marker

    def _possessive(self) -> Iterator[CaptionTuple]:
        """A man's hat; a dog with its tail up."""
        for thing, _, owner, _ in self._relations.kind("owner"):
            holder = self._meant[owner]
            if holder.is_noun and holder is not thing:
                yield holder.lemma, thing.lemma, "have"

    def _agent(self) -> Iterator[CaptionTuple]:
        """A ball is thrown by a girl."""
        for verb, _, patient, _ in self._relations.kind("passive subject"):
            for _, _, by, _ in self._relations.of(verb, "agent"):
                doer, undergoer = self._meant[by], self._meant[patient]
                if doer.is_noun and undergoer.is_noun:
                    yield doer.lemma, undergoer.lemma, _predicate(verb)

    def _number(self) -> Iterator[CaptionTuple]:
        """Two dogs; a lot of people. One dog says nothing that the object does not say."""
        for noun, _, number, _ in self._relations.kind("number", "quantity"):
            if noun.is_plural:
                yield noun.lemma, number.lemma

    def _compound(self) -> Iterator[CaptionTuple]:
        """A dirt bike is a bike with the attribute dirt."""
        for noun, _, modifier, _ in self._relations.kind("noun"):
            yield noun.lemma, modifier.lemma

    def _objects(self) -> Iterator[CaptionTuple]:
        """All nouns that modify no other noun and count nothing."""
        inside = {relation.dependent for relation in self._relations.kind("noun", "quantity")}
        for word in self._words:
            if word.is_noun and word not in inside:
                yield (word.lemma,)


def _predicate(verb: Word) -> str:
    """Base form with its particles: "put on"."""
    return " ".join((verb.lemma, *(particle.text for particle in verb.having("prt"))))
