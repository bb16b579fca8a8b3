"""The words of a scored set as numbers: of each picture its candidate, then its references.

BLEU, ROUGE-L and CIDEr-D all count equal words; they count faster on whole
numbers in one flat array than on strings in dictionaries.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

import numpy as np

from miacap.metrics.arrays import Flags, Integers
from miacap.metrics.speed import loops

_ASCII_BLANKS = "\t\v\f\r\x1c\x1d\x1e\x1f"
_OTHER_BLANK = re.compile(r"[^\S \n]")


@dataclass(frozen=True)
class Corpus:
    """Interned sentences, in the order candidate, reference, reference, ... of each picture.

    Attributes:
        words: word ids of all sentences, one after another.
        lengths: number of words of each sentence.
        picture: the picture that each sentence belongs to.
        candidate: whether the sentence is its picture's candidate.
        pictures: how many pictures there are.
        width: how many different words there are; ids lie below it.
        spell: gives the words by id.
    """

    words: Integers
    lengths: Integers
    picture: Integers
    candidate: Flags
    pictures: int
    width: int
    spell: Callable[[], tuple[str, ...]] = field(repr=False, compare=False)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The words by id, spelt out only where somebody asks."""
        return self.spell()

    @cached_property
    def starts(self) -> Integers:
        """Where each sentence's words begin."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def references(self) -> Integers:
        """How many references each picture has."""
        return np.bincount(self.picture[~self.candidate], minlength=self.pictures)


def intern(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Corpus:
    """Number the words of tokenised sentences; words are split at any white space.

    Args:
        candidates: one sentence a picture.
        references: the pictures' references, in the same order.
    """
    sentences = _in_order(candidates, references)
    compiled = loops(len(sentences))
    if compiled is not None:
        text = "\n".join(sentences)
        if text.count("\n") == len(sentences) - 1 and not _other_blanks(text):
            data = text.encode("utf-8", "surrogatepass")
            words, lengths, begins, ends = compiled.number_words(
                np.frombuffer(data, np.uint8), len(sentences)
            )

            def spell() -> tuple[str, ...]:
                spans = zip(begins.tolist(), ends.tolist(), strict=True)
                return tuple(data[a:b].decode("utf-8", "surrogatepass") for a, b in spans)

            return _corpus(words, lengths, references, len(begins), spell)
    return _number(sentences, references, str.split)


def intern_at_blanks(
    candidates: Sequence[str], references: Sequence[Sequence[str]], known: Corpus
) -> Corpus:
    """Number the words that ROUGE-L sees: split at the single blank alone.

    An empty sentence is one empty word; a word may hold U+00A0. `known` (the
    same sentences split at any white space) is reused where only the empty ones differ.
    """
    sentences = _in_order(candidates, references)
    if _has_odd_blanks(sentences):
        return _number(sentences, references, lambda sentence: sentence.split(" "))
    empty = known.lengths == 0
    if not empty.any():
        return known
    return replace(
        known,
        lengths=np.where(empty, 1, known.lengths),
        words=np.insert(known.words, known.starts[empty], known.width),
        width=known.width + 1,
        spell=lambda: (*known.vocabulary, ""),
    )


def _in_order(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
    sentences: list[str] = []
    for candidate, others in zip(candidates, references, strict=True):
        sentences.append(candidate)
        sentences.extend(others)
    return sentences


def _has_odd_blanks(sentences: list[str]) -> bool:
    """Whether splitting at any white space differs from splitting at blanks, empty ones apart."""
    text = "\n".join(sentences)
    if text.count("\n") >= max(len(sentences), 1) or "  " in text:
        return True
    if text.startswith(" ") or text.endswith(" ") or "\n " in text or " \n" in text:
        return True
    return any(blank in text for blank in _ASCII_BLANKS) or _other_blanks(text)


def _other_blanks(text: str) -> bool:
    """Whether there is white space beyond ASCII."""
    return not text.isascii() and _OTHER_BLANK.search(text) is not None


def _number(
    sentences: list[str], references: Sequence[Sequence[str]], split: Callable[[str], list[str]]
) -> Corpus:
    parts = list(map(split, sentences))
    flat = list(chain.from_iterable(parts))
    numbers = {word: number for number, word in enumerate(dict.fromkeys(flat))}
    words = np.fromiter(map(numbers.__getitem__, flat), dtype=np.int64, count=len(flat))
    lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    return _corpus(words, lengths, references, len(numbers), lambda: tuple(numbers))


def _corpus(
    words: Integers,
    lengths: Integers,
    references: Sequence[Sequence[str]],
    width: int,
    spell: Callable[[], tuple[str, ...]],
) -> Corpus:
    sizes = np.fromiter(map(len, references), dtype=np.int64, count=len(references)) + 1
    picture = np.repeat(np.arange(len(references), dtype=np.int64), sizes)
    candidate = np.zeros(len(lengths), dtype=np.bool_)
    candidate[np.cumsum(sizes) - sizes] = True
    return Corpus(words, lengths, picture, candidate, len(references), width, spell)
