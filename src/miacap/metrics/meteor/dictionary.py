"""METEOR's dictionary: from a word or phrase to the numbers of WordNet's synonym sets.

    synsets(w) = own(w) | union of own(b) over the bases b of w

Bases of w: the table of exceptions where it lists w (geese -> goose); else nothing for words of
two letters or fewer and for those in -ss; else the first of WordNet's suffix rules whose result
is a word of the dictionary (boxes -> box, riding -> rid). SPICE uses the same dictionary.

Example: "geese" is no word of its own; the exceptions give "goose", whose sets it gets.
Differs from what people expect: a word that is no inflection may still have a base. "news" has
the sets of "new" beside its own, because "s" is taken off and "new" is a word.
"""

import functools
from collections.abc import Mapping

from miacap.metrics.meteor import sources

_SYNSETS = "synonym/english.synsets"
_EXCEPTIONS = "synonym/english.exceptions"

# WordNet's morphology, in the order in which it is tried: nouns, verbs, adjectives.
_SUFFIXES = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
)


class Dictionary:
    """Synonym sets of English words and phrases (lower case, `_` between words).

    Args:
        synsets: word or phrase to its synset numbers, as text separated by blanks.
        exceptions: irregular form to its bases.
    """

    def __init__(
        self, synsets: Mapping[str, str], exceptions: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._own = synsets
        self._exceptions = exceptions
        self._known: dict[str, frozenset[int]] = {}

    @classmethod
    def load(cls) -> "Dictionary":
        """Read the dictionary from the installed pycocoevalcap (0.1 s; later calls are free).

        Raises:
            MissingExtra: pycocoevalcap is not installed.
            DataError: its archive is damaged.
        """
        return _load()

    def __contains__(self, phrase: object) -> bool:
        return phrase in self._own

    def bases(self, word: str) -> tuple[str, ...]:
        """Give the base forms of an inflected word: exceptions, else one suffix rule, else none."""
        if word in self._exceptions:
            return self._exceptions[word]
        if len(word) <= 2 or word.endswith("ss"):
            return ()
        for suffix, ending in _SUFFIXES:
            if word.endswith(suffix):
                base = word[: len(word) - len(suffix)] + ending
                if base in self._own:
                    return (base,)
        return ()

    def synsets(self, phrase: str) -> frozenset[int]:
        """Give the synset numbers of a phrase and of its bases; the empty set where unknown.

        Args:
            phrase: lower case, with `_` where a phrase has blanks ("teddy_bear").
        """
        result = self._known.get(phrase)
        if result is None:
            words = (phrase, *self.bases(phrase))
            result = frozenset(int(n) for w in words for n in self._own.get(w, "").split())
            self._known[phrase] = result
        return result


@functools.cache
def _load() -> Dictionary:
    rows = sources.lines(_SYNSETS)
    irregular: dict[str, tuple[str, ...]] = {}
    table = sources.lines(_EXCEPTIONS)
    for base, forms in zip(table[0::2], table[1::2], strict=True):
        for form in forms.split():
            irregular[form] = (*irregular.get(form, ()), base)
    return Dictionary(dict(zip(rows[0::2], rows[1::2], strict=True)), irregular)
