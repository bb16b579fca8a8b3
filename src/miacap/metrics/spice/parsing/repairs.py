"""Corrections of a tree that a parser of full sentences makes of a caption.

Captions are fragments without punctuation ("two dogs run on a beach", "a man in a hat smiling"),
while parsers learn from edited sentences. Their commonest mistake is to read the verb as one more
noun of the phrase before it. Each function below repairs one kind of mistake and states the
grammatical ground on which it does so; none looks for a particular caption.
"""

from collections.abc import Callable

from miacap.metrics.spice.parsing.lemmas import may_be_verb
from miacap.metrics.spice.parsing.words import Word
from miacap.metrics.spice.word_sets import word_set

_COLORS = word_set(
    "beige black blue brown cream gray green grey maroon orange pink purple red violet white"
    " yellow tan khaki silver gold"
)
_SINGULAR = frozenset(("a", "an", "another", "this"))
_COUNTING = frozenset(("few", "couple", "dozen", "hundred", "thousand", "million", "lot"))
_SEVERAL = frozenset(("several", "many", "few", "some", "both"))
_ONE = frozenset(("one", "1"))
_AFTER_VERB = frozenset(("IN", "RP", "DT", "TO", "RB", "PRP$", "JJ", "PRP", "CC"))
_PHRASE = ("det", "amod", "compound", "nummod", "nmod", "poss")
# Nouns in -ing that stand for things; after another noun they are no participles.
_THINGS = word_set(
    "being building buildings bedding ceiling clearing clothing covering crossing dressing"
    " earring evening everything anything something nothing flooring frosting gathering icing"
    " king landing lighting meeting morning opening outing painting parking pudding railing"
    " rigging ring siding sling spring stocking string swing thing wedding wing awning"
)


def repair(words: list[Word]) -> None:
    """Apply all corrections, in place."""
    for correction in _CORRECTIONS:
        for word in words:
            correction(word, words)


def _adjective_on_number(word: Word, words: list[Word]) -> None:
    """In "two little girls" it is the girls who are little."""
    number = word.head
    if word.label != "amod" or number is None or number.tag != "CD" or number.head is None:
        return
    if number.head.is_noun:
        word.hang(number.head, "amod")


def _noun_with_subject(word: Word, words: list[Word]) -> None:
    """A "noun" without article or modifiers that has a subject is a verb."""
    if word.tag not in ("NN", "NNS") or word.label == "attr" or word.has(*_PHRASE):
        return
    if any(child.is_noun and child.index < word.index for child in word.having("nsubj")):
        _make_verb(word)


def _verb_with_compound(word: Word, words: list[Word]) -> None:
    """What modifies a finite verb as if it were a noun is its subject."""
    if word.tag not in ("VBZ", "VBP", "VBD", "VBG") or word.has("nsubj", "nsubjpass"):
        return
    for child in list(word.children):
        if child.index != word.index - 1 or child.label not in (
            "compound", "advmod", "amod", "npadvmod"
        ):  # fmt: skip
            continue
        if child.is_noun or child.label == "compound":
            _make_phrase(child, [c for c in word.children if c.label in _PHRASE])
            child.hang(word, "nsubj")


def _participle_in_phrase(word: Word, words: list[Word]) -> None:
    """In "over rippling water" the water is what it is over."""
    preposition = word.head
    if word.label != "pcomp" or word.tag not in ("VBG", "VBN") or preposition is None:
        return
    if preposition.label not in ("prep", "agent") or word.index != preposition.index + 1:
        return
    for noun in word.having("dobj"):
        if noun.is_noun and noun.index == word.index + 1:
            noun.hang(preposition, "pobj")
            for child in list(word.children):
                child.hang(noun, child.label)
            word.hang(noun, "amod")
            return


def _verb_after_its_subject(word: Word, words: list[Word]) -> None:
    """Number tells a verb from a noun: "a skater jumps" and "two girls dance" have one each."""
    before = words[word.index - 1] if word.index else None
    if before is None or before.head is not word or not word.is_noun:
        return
    if not (before.is_noun or before.tag == "JJ") or before.label not in _PHRASE:
        return
    left = [child for child in word.children if child.index < word.index]
    inner = left + before.children
    after = words[word.index + 1] if word.index + 1 < len(words) else None
    if (after is not None and after.tag not in _AFTER_VERB) or not may_be_verb(word.text):
        return
    one = any(c.label == "det" and c.text in _SINGULAR for c in left)
    counted = any(c.tag == "CD" or c.text in _COUNTING for c in inner)
    several = any((c.label == "nummod" and c.text not in _ONE) or c.text in _SEVERAL for c in inner)
    if word.tag == "NNS" and word.text != "people":
        fits = one and not counted and not before.is_plural
    else:
        fits = several and word.tag == "NN" and before.is_plural
    if fits:
        _make_clause(before, word, left)


def _participle_after_noun(word: Word, words: list[Word]) -> None:
    """In "a baby playing in the sand" the last word of the phrase says what the baby does."""
    before = words[word.index - 1] if word.index else None
    if before is None or before.head is not word or not before.is_noun:
        return
    if word.tag != "NN" or not word.text.endswith("ing") or word.text in _THINGS:
        return
    after = words[word.index + 1] if word.index + 1 < len(words) else None
    left = [child for child in word.children if child.index < word.index]
    if after is None:
        fits = any(c.label == "nummod" or c.text in _SINGULAR for c in left)
    else:
        fits = after.tag in ("IN", "RP", "DT", "TO", "PRP$")
    if fits:
        _make_phrase(before, left)
        before.hang(word.head, word.label)
        word.tag = "VBG"
        word.hang(before, "acl")


def _fragment(word: Word, words: list[Word]) -> None:
    """Without an auxiliary, "two dogs running" is a noun with a participle, not a sentence."""
    if word.tag != "VBG" or word.label not in ("ROOT", "ccomp", "conj"):
        return
    subjects = list(word.having("nsubj"))
    if len(subjects) != 1 or word.has("aux", "auxpass"):
        return
    subject = subjects[0]
    if subject.is_noun and subject.index < word.index:
        subject.hang(word.head, word.label)
        word.hang(subject, "acl")


def _flat_phrase(word: Word, words: list[Word]) -> None:
    """All modifiers in a noun phrase belong to its last noun, as in the Penn Treebank."""
    if word.label not in ("amod", "compound", "nummod", "nmod") or word.head is None:
        return
    top = word.head
    while top.is_noun and top.label in ("compound", "amod", "nmod") and top.head is not None:
        if top.head.index < top.index:
            break
        top = top.head
    if top is not word.head and top.is_noun:
        word.hang(top, word.label)


def _color(word: Word, words: list[Word]) -> None:
    """A bare color is an adjective, even where it stands for clothes ("dressed in black")."""
    places = ("pobj", "dobj", "conj", "amod", "compound", "nmod")
    bare = word.text in _COLORS and not word.has("det", "amod")
    if word.is_noun and bare and word.label in places:
        word.tag = "JJ"


def _make_verb(word: Word) -> None:
    if word.text.endswith("ing"):
        word.tag = "VBG"
    else:
        word.tag = "VBZ" if word.tag == "NNS" else "VBP"


def _make_phrase(noun: Word, modifiers: list[Word]) -> None:
    """Let `noun` be the head of the modifiers to its left."""
    if not noun.is_noun:
        noun.tag = "NN"
    for modifier in modifiers:
        if modifier is not noun and modifier.index < noun.index:
            modifier.hang(noun, modifier.label)


def _make_clause(subject: Word, verb: Word, modifiers: list[Word]) -> None:
    """Turn a noun phrase into a clause whose verb was taken for the phrase's head.

    If the phrase was itself inside another ("a man with a dog jumps"), the outermost noun is the
    subject and the verb becomes the root.
    """
    _make_phrase(subject, modifiers)
    _make_verb(verb)
    other = verb.head
    if verb.label == "nsubj" and other is not None and other.is_verb:
        # "a child squats and puts": both are predicates of the child.
        verb.hang(other.head, other.label)
        other.hang(verb, "conj")
    if verb.label not in ("pobj", "dobj") or verb.head is None:
        subject.hang(verb, "nsubj")
        return
    top = verb.head
    while top.head is not None:
        top = top.head
    subject.hang(verb.head, verb.label)
    if top.is_noun:
        verb.hang(None, "ROOT")
        top.hang(verb, "nsubj")
    else:
        verb.hang(top, "dep")


_CORRECTIONS: tuple[Callable[[Word, list[Word]], None], ...] = (
    _adjective_on_number,
    _noun_with_subject,
    _verb_with_compound,
    _participle_in_phrase,
    _verb_after_its_subject,
    _participle_after_noun,
    _fragment,
    _flat_phrase,
    _color,
)
