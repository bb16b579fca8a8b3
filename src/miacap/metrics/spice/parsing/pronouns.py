"""What a pronoun stands for: a short form of Hobbs's (1978) walk up the tree.

From the pronoun upwards, the nearest noun that comes before it is taken; where a verb is passed,
its subject is offered before its objects. A noun of the right number is preferred. A personal
pronoun is never the subject of its own verb nor the noun that its phrase describes ("a dog with a
bird before it"), while a reflexive one always may be.
"""

from collections.abc import Iterator

from miacap.metrics.spice.parsing.words import Word
from miacap.metrics.spice.word_sets import word_set

_SINGULAR = word_set("he she it him her his its himself herself itself")
_PLURAL = word_set("they them their theirs themselves")


def antecedent(pronoun: Word) -> Word | None:
    """The noun before it that a third-person pronoun stands for, if there is one."""
    if pronoun.tag not in ("PRP", "PRP$"):
        return None
    if pronoun.text not in _SINGULAR and pronoun.text not in _PLURAL:
        return None
    free = pronoun.tag == "PRP" and not pronoun.text.endswith(("self", "selves"))
    candidates = list(_nouns_above(pronoun))
    barred = _own_clause(pronoun) if free else set()
    allowed = [noun for noun in candidates if noun not in barred]
    fitting = [noun for noun in allowed if _agrees(pronoun, noun)]
    return next(iter(fitting or allowed), None)


def _nouns_above(pronoun: Word) -> Iterator[Word]:
    """Nouns before the pronoun, nearest first by the path through the tree."""
    below = pronoun.head if pronoun.tag == "PRP$" and pronoun.head else pronoun
    while below.head is not None:
        head = below.head
        for child in head.children:
            arguments = child.label in ("nsubj", "nsubjpass", "dobj")
            if arguments and child.is_noun and child is not below and child.index < pronoun.index:
                yield child
        if head.is_noun and head.index < pronoun.index:
            yield head
        below = head
    for child in below.children:
        if child.is_noun and child.index < pronoun.index:
            yield child


def _own_clause(pronoun: Word) -> set[Word]:
    """Nouns that a personal pronoun cannot stand for."""
    barred: set[Word] = set()
    word = pronoun
    while word.head is not None:
        word = word.head
        if word.is_noun:
            barred.add(word)
            return barred
        if word.is_verb:
            barred.update(word.having("nsubj", "nsubjpass"))
            if word.label == "acl" and word.head is not None:
                barred.add(word.head)
            return barred
    return barred


def _agrees(pronoun: Word, noun: Word) -> bool:
    several = noun.is_plural or noun.has("conj")
    return several == (pronoun.text in _PLURAL)
