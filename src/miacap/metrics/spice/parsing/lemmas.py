"""Base forms of words: lemminflect's dictionary, with METEOR's for nouns that have two."""

import functools
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from miacap.errors import MissingExtra
from miacap.metrics.meteor.dictionary import Dictionary

_CLASSES = {"N": "NOUN", "V": "VERB", "J": "ADJ"}
_BASE_TAGS = frozenset(("NN", "NNP", "VB", "JJ"))
_ALIAS = "miacap.metrics.spice.parsing._lemminflect"


@functools.lru_cache(maxsize=100_000)
def lemma(word: str, tag: str) -> str:
    """Base form of a lower-case word with a Penn tag; itself where there is nothing to take off."""
    word_class = _CLASSES.get(tag[:1])
    if word_class is None or tag in _BASE_TAGS:
        return word
    lemmas = _lemminflect().getLemma(word, word_class)
    if len(lemmas) > 1:
        # "leaves" is leave or leaf: captions mean the noun that WordNet lists as irregular.
        bases = Dictionary.load().bases(word)
        return next((base for base in lemmas if base in bases), str(lemmas[0]))
    return str(lemmas[0]) if lemmas else word


@functools.lru_cache(maxsize=100_000)
def may_be_verb(word: str) -> bool:
    """Whether `word` can be a form of a verb: the dictionary says so, or does not know it."""
    classes = _lemminflect().getAllLemmas(word)
    return "VERB" in classes or not classes


@functools.cache
def _lemminflect() -> Any:
    """lemminflect's dictionary and rules, without what it hooks into spaCy.

    Its package imports spaCy, which takes seconds and is not needed; its modules do not.
    """
    found = importlib.util.find_spec("lemminflect")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("spice", "SPICE")
    if _ALIAS not in sys.modules:
        alias = ModuleType(_ALIAS)
        alias.__path__ = list(found.submodule_search_locations)
        sys.modules[_ALIAS] = alias
    return importlib.import_module(f"{_ALIAS}.core.Lemmatizer").Lemmatizer()
