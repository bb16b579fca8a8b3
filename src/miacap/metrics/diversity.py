"""What scores do not show: how varied captions are, and how they end.

    distinct-n   different n-grams / all n-grams of the candidates (Li et al., NAACL 2016)
    vocabulary   different words
    distinct     share of captions that no other picture has
    novel        share of captions that are no training caption
    bad endings  share that end in a word that cannot end a sentence ("a man riding a")
    repeats      share that say a word twice in a row or three words twice

All on tokenised captions. distinct-n falls with the number of captions: compare equal numbers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from miacap.errors import DataError
from miacap.metrics.frequencies import grams
from miacap.metrics.tokens import tokenised

# Articles, conjunctions, prepositions that need an object, and copulas.
_BAD_ENDINGS = """
a an the this that these those its his her their and or but nor as than because while of
at for with from into onto upon between among against toward towards via to is are was
were am be being in on by near next beside behind under above below through
"""
BAD_ENDINGS = frozenset(_BAD_ENDINGS.split())


@dataclass(frozen=True)
class Diversity:
    """Shares are between 0 and 1; `novel` is None without training captions."""

    captions: int
    distinct: float
    vocabulary: int
    distinct_1: float
    distinct_2: float
    mean_length: float
    novel: float | None
    bad_endings: float
    repeats: float


def diversity(
    candidates: Sequence[str], training: Iterable[str] | None = None, *, tokenized: bool = False
) -> Diversity:
    """Describe a set of captions.

    Args:
        candidates: one caption a picture.
        training: captions that the captioner learned from, for novelty.
        tokenized: all captions are tokenised already.

    Raises:
        DataError: there are no candidates.
    """
    if not candidates:
        raise DataError("No captions to describe.")
    sentences = list(candidates) if tokenized else tokenised(candidates)
    novel = None
    if training is not None:
        known = set(training) if tokenized else set(tokenised(training))
        novel = _share(sentence not in known for sentence in sentences)
    words = [sentence.split() for sentence in sentences]
    times = Counter(sentences)
    return Diversity(
        captions=len(sentences),
        distinct=_share(times[sentence] == 1 for sentence in sentences),
        vocabulary=len({word for sentence in words for word in sentence}),
        distinct_1=_distinct(words, 1),
        distinct_2=_distinct(words, 2),
        mean_length=sum(map(len, words)) / len(words),
        novel=novel,
        bad_endings=_share(bool(sentence) and sentence[-1] in BAD_ENDINGS for sentence in words),
        repeats=_share(map(repeats, words)),
    )


def repeats(words: Sequence[str]) -> bool:
    """Whether a caption says a word twice in a row, or three words twice."""
    if any(a == b for a, b in pairwise(words)):
        return True
    triples = [gram for gram in grams(words, 3) if len(gram) == 3]
    return len(set(triples)) < len(triples)


def _distinct(sentences: Sequence[Sequence[str]], n: int) -> float:
    ngrams = [gram for words in sentences for gram in grams(words, n) if len(gram) == n]
    return len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)
