"""Grammatical relations between content words, after Stanford's collapsed dependencies.

Prepositions become markers of a relation ("man in hat": hat modifies man, marked "in"), several
words may be one preposition ("in front of"), a conjunct stands in all relations of the first
conjunct, quantities step aside ("a lot of people" is about people). Schuster and Manning (2016,
"Enhanced English Universal Dependencies", LREC) describe these steps.
"""

from typing import NamedTuple

from miacap.metrics.spice.parsing.words import Word
from miacap.metrics.spice.word_sets import word_set

_TWO_WORDS = word_set(
    "across_from ahead_of along_with alongside_of as_to away_from because_of close_to far_from"
    " followed_by inside_of instead_of near_to next_to off_of out_of outside_of such_as"
    " together_with"
)
_THREE_WORDS = word_set(
    "in_addition_to in_case_of in_front_of in_place_of in_spite_of on_account_of on_behalf_of"
    " on_top_of with_regard_to with_respect_to"
)
_QUANTITIES = word_set(
    "lot assortment number couple bunch handful litany sheaf slew dozen series variety multitude"
    " wad clutch wave mountain array spate string ton range plethora heap sort form kind type"
    " version bit pair triple total"
)
_QUANTITY_PLURALS = word_set(
    "lots many several plenty tons dozens multitudes mountains loads pairs tens hundreds"
    " thousands millions"
)
_DIRECT = {
    "nsubj": "subject",
    "nsubjpass": "passive subject",
    "dobj": "object",
    "iobj": "object",
    "amod": "adjective",
    "nummod": "number",
    "quantity": "quantity",
    "poss": "owner",
    "acl": "participle",
    "advcl": "adverbial",
}
_SHARED = frozenset(
    ("subject", "passive subject", "object", "oblique", "agent", "adjective", "noun", "number",
     "owner", "participle")
)  # fmt: skip
_NOMINAL = frozenset(("subject", "object", "oblique", "owner"))


class Relation(NamedTuple):
    """`dependent` is `kind` of `governor`; `marker` holds the preposition of an oblique."""

    governor: Word
    kind: str
    dependent: Word
    marker: str = ""


class Relations:
    """The relations of one caption, without repeats, in the order in which they were found."""

    def __init__(self) -> None:
        self.all: dict[Relation, None] = {}
        self._of: dict[Word, list[Relation]] = {}
        self._into: dict[Word, list[Relation]] = {}

    def add(self, relation: Relation) -> None:
        """Add one unless it is there."""
        if relation not in self.all:
            self.all[relation] = None
            self._of.setdefault(relation.governor, []).append(relation)
            self._into.setdefault(relation.dependent, []).append(relation)

    def of(self, governor: Word, *kinds: str) -> list[Relation]:
        """Relations that `governor` has."""
        return [r for r in self._of.get(governor, ()) if r.kind in kinds]

    def into(self, dependent: Word) -> list[Relation]:
        """Relations in which `dependent` stands to others."""
        return list(self._into.get(dependent, ()))

    def kind(self, *kinds: str) -> list[Relation]:
        """All relations of some kinds."""
        return [relation for relation in self.all if relation.kind in kinds]


def relations(words: list[Word]) -> Relations:
    """Find all relations in a repaired tree (quantities are moved in it)."""
    for word in words:
        _step_aside(word)
    result = Relations()
    inner = {last for word in words for last in _tails(word)}
    for word in words:
        for child in word.children:
            for relation in _direct(word, child, inner):
                result.add(relation)
    _share_among_conjuncts(words, result)
    _share_subjects(result)
    return result


def _step_aside(word: Word) -> None:
    """Put the counted noun in the place of its quantity: "a lot of people"."""
    single = word.text in _QUANTITIES and not word.has("amod")
    if single and not any(child.text in ("a", "an") for child in word.having("det")):
        return
    if not word.is_noun or not (single or word.text in _QUANTITY_PLURALS):
        return
    for preposition in word.having("prep"):
        for noun in preposition.having("pobj"):
            if preposition.text == "of" and noun.is_noun:
                head, label = word.head, word.label
                noun.hang(head, label)
                for child in list(word.children):
                    if child is not preposition and child.label != "det":
                        child.hang(noun, child.label)
                preposition.label = "mark"
                word.hang(noun, "quantity")
                return


def _tails(preposition: Word) -> list[Word]:
    """Last words of three-word prepositions that begin here: the "of" in "in front of"."""
    if preposition.label not in ("prep", "agent"):
        return []
    return [
        last
        for middle in preposition.having("pobj")
        if not middle.has("det")
        for last in middle.having("prep")
        if f"{preposition.text}_{middle.text}_{last.text}" in _THREE_WORDS
    ]


def _direct(word: Word, child: Word, inner: set[Word]) -> list[Relation]:
    """Relations that one branch of the tree stands for."""
    label = child.label
    if label in ("prep", "agent") or (label == "dative" and child.has("pobj")):
        if word.label in ("prep", "agent") or child in inner:
            return []
        head = word.head
        adverb = not word.is_noun and word.label in ("advmod", "acomp", "amod", "prt")
        if adverb and head is not None and f"{word.text}_{child.text}" in _TWO_WORDS:
            return _oblique(head, child, word.text)
        return _oblique(word, child, "")
    if label in ("dobj", "iobj", "dative") and child.tag in ("IN", "TO"):
        return []
    if label in ("compound", "nmod"):
        kind = "noun" if child.is_noun or child.tag == "CD" else "adjective"
        return [Relation(word, kind, child)]
    kind = _DIRECT.get("dobj" if label == "dative" else label, "")
    return [Relation(word, kind, child)] if kind else []


def _oblique(governor: Word, first: Word, before: str) -> list[Relation]:
    """What a preposition joins to `governor`: its objects and those of prepositions after it."""
    result: list[Relation] = []
    waiting = [(first, before)]
    while waiting:
        preposition, marker = waiting.pop()
        marker = f"{marker} {preposition.text}".strip()
        tails = {tail.head: tail for tail in _tails(preposition)}
        kind = "agent" if preposition.label == "agent" else "oblique"
        for noun in preposition.having("pobj"):
            if noun in tails:
                waiting.append((tails[noun], f"{marker} {noun.text}"))
            else:
                result.append(Relation(governor, kind, noun, marker))
        waiting.extend((following, marker) for following in preposition.having("prep"))
        for clause in preposition.having("pcomp"):
            # "with a boy standing": the boy, who stands.
            for subject in clause.having("nsubj", "nsubjpass"):
                result.append(Relation(governor, "oblique", subject, marker))
                result.append(Relation(subject, "participle", clause))
    return result


def _share_among_conjuncts(words: list[Word], known: Relations) -> None:
    """In "wears a hat and a scarf" the scarf is worn; in "a man sits and eats" the man eats."""
    for word in words:
        first = word.head
        if word.label != "conj" or first is None:
            continue
        for governor, kind, _, marker in known.into(first):
            if governor is word or kind not in _SHARED:
                continue
            if kind == "participle" and not word.is_verb:
                continue
            if kind in _NOMINAL and first.is_noun and not word.is_noun:
                continue
            known.add(Relation(governor, kind, word, marker))
        verbal = word.is_verb or first.is_verb
        if verbal and not known.of(word, "subject", "passive subject"):
            for relation in known.of(first, "subject", "passive subject"):
                if relation.dependent is not word:
                    known.add(Relation(word, relation.kind, relation.dependent))


def _share_subjects(known: Relations) -> None:
    """In "sits holding a cup" both verbs have one subject (not so "while holding")."""
    for main, _, clause, _ in known.kind("adverbial"):
        if clause.tag not in ("VBG", "VBN") or clause.has("mark"):
            continue
        if not known.of(clause, "subject", "passive subject"):
            for subject in known.of(main, "subject"):
                known.add(Relation(clause, "subject", subject.dependent))
