"""Which single words METEOR holds for the same: exactly, by stem, or by a common synonym set.

    0 exact     equal words                                        weight 1.0
    1 stem      different words with equal Snowball English stems  weight 0.6
    2 synonym   different words that share a synonym set           weight 0.8

Words and stems are compared by Java's 32-bit hash of their text, as the official program does:
"as" and "c5" are one word for it. Synonym sets are found by the text itself.
Source: Denkowski & Lavie 2014, section 2; stemmer: snowballstemmer 2.2 (version 3 differs).
"""

import functools
import importlib.metadata
import threading
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from miacap.errors import MiacapError, MissingExtra
from miacap.metrics.meteor import sources
from miacap.metrics.meteor.dictionary import Dictionary

EXACT, STEM, SYNONYM, PARAPHRASE = range(4)


def java_hash(text: str) -> int:
    """Give Java's String.hashCode as a number from 0 to 2**32 - 1 (over UTF-16 code units)."""
    if text.isascii():
        units: Iterable[int] = text.encode("ascii")
    else:
        data = text.encode("utf-16-le", "surrogatepass")
        units = memoryview(data).cast("H") if _LITTLE else _pairs(data)
    value = 0
    for unit in units:
        value = (value * 31 + unit) & 0xFFFFFFFF
    return value


_STEMMING = threading.Lock()  # the stemmer keeps the word that it works on
_LITTLE = memoryview(b"\x01\x00").cast("H")[0] == 1


def _pairs(data: bytes) -> list[int]:
    return [low + 256 * high for low, high in zip(data[0::2], data[1::2], strict=True)]


class Lexicon:
    """Relations between the words of one set of references and any other word.

    Args:
        words: the words that may be found; those asked about may be others.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._dictionary = Dictionary.load()
        self._same: dict[int, list[str]] = {}
        self._stem: dict[int, list[str]] = {}
        self._synonym: dict[int, list[str]] = {}
        for word in sorted(set(words)):
            self._same.setdefault(java_hash(word), []).append(word)
            self._stem.setdefault(_stem_hash(word), []).append(word)
            for number in self._dictionary.synsets(word):
                self._synonym.setdefault(number, []).append(word)
        self._known: dict[str, Mapping[str, tuple[int, ...]]] = {}

    def related(self, word: str) -> Mapping[str, tuple[int, ...]]:
        """Give the lexicon's words that match a word, each with its modules in rising order."""
        result = self._known.get(word)
        if result is None:
            result = self._known[word] = MappingProxyType(self._search(word))
        return result

    def _search(self, word: str) -> dict[str, tuple[int, ...]]:
        code = java_hash(word)
        result: dict[str, tuple[int, ...]] = {w: (EXACT,) for w in self._same.get(code, ())}
        same = frozenset(result)
        for other in self._stem.get(_stem_hash(word), ()):
            if other not in same:
                result[other] = (STEM,)
        synonyms = {
            other
            for number in self._dictionary.synsets(word)
            for other in self._synonym.get(number, ())
        }
        for other in sorted(synonyms - same):
            result[other] = (*result.get(other, ()), SYNONYM)
        return result


@functools.lru_cache(maxsize=1 << 18)
def _stem_hash(word: str) -> int:
    with _STEMMING:
        return java_hash(stemmer()(word))


@functools.cache
def stemmer() -> Callable[[str], str]:
    """Give the Snowball stemmer for English; one word at a time.

    Raises:
        MissingExtra: snowballstemmer is not installed.
        MiacapError: its version has other stems.
    """
    try:
        # By its own name: the package's front door takes another stemmer where one is installed.
        from snowballstemmer.english_stemmer import EnglishStemmer
    except ImportError:
        raise MissingExtra("meteor", "METEOR") from None
    version = importlib.metadata.version("snowballstemmer")
    if int(version.split(".")[0]) != 2:
        raise MiacapError(
            f"METEOR's stems are those of snowballstemmer 2, and version {version} is installed: "
            "pip install 'snowballstemmer>=2.2,<3'"
        )
    stem: Callable[[str], str] = EnglishStemmer().stemWord
    return stem


@functools.cache
def function_words() -> frozenset[str]:
    """Read the words that count for little (the, of, a ...): 93 in English."""
    return frozenset(sources.lines("function/english.words"))
