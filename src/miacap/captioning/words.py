"""From captions to word ids: the vocabulary of a training split, and captions in it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from miacap.data import Dataset
from miacap.errors import DataError
from miacap.text import UNK, Vocabulary, tokenize_all
from miacap.wording import by_number, counted, part

__all__ = ["Lengths", "build_vocabulary", "covered", "encode", "lengths", "reference_ids"]

_FEW_LONGER = 0.05
"""Share of references that are too long for any caption, up to which scores hardly notice."""
_LITTLE = 0.8
"""Share of the words of the captions below which a vocabulary is too small to speak with."""


def encode(
    vocabulary: Vocabulary, captions: Mapping[str, Iterable[str]]
) -> dict[str, list[list[int]]]:
    """Turn each picture's captions into word ids, without BOS and EOS."""
    ids = list(captions)
    flat = [caption for name in ids for caption in captions[name]]
    tokens = iter(tokenize_all(flat))
    return {name: [vocabulary.encode(next(tokens)) for _ in captions[name]] for name in ids}


def reference_ids(
    vocabulary: Vocabulary, captions: Mapping[str, Iterable[str]]
) -> dict[str, list[list[int]]]:
    """Turn captions into ids for rewards: a word outside the vocabulary has an id of its own.

    Such ids lie beyond the vocabulary, so that two unknown words never count as equal.
    """
    names = list(captions)
    flat = [caption for name in names for caption in captions[name]]
    tokens = iter(tokenize_all(flat))
    unknown: dict[str, int] = {}

    def number(word: str) -> int:
        if word in vocabulary:
            return vocabulary.id(word)
        return unknown.setdefault(word, len(vocabulary) + len(unknown))

    return {name: [[number(w) for w in next(tokens)] for _ in captions[name]] for name in names}


def build_vocabulary(train: Dataset, minimum_count: int) -> Vocabulary:
    """Collect the words of the training captions. Raises DataError where none is left."""
    captions = [caption for texts in train.captions.values() for caption in texts]
    if not captions:
        raise DataError(f"{train.name}: the training split has no captions; nothing to learn from.")
    vocabulary = Vocabulary.from_captions(tokenize_all(captions), minimum=minimum_count)
    if not vocabulary.words:
        raise DataError(
            f"{train.name}: no word occurs {counted(minimum_count, 'time')} in "
            f"{counted(len(captions), 'caption')}; "
            "lower it with --set minimum_count=1."
        )
    return vocabulary


def covered(
    captions: Mapping[str, list[list[int]]], vocabulary: Vocabulary, run: str | None = None
) -> str | None:
    """Say so where the vocabulary has few of the captions' words; else give None.

    Args:
        captions: word ids of each picture's captions.
        vocabulary: what the ids mean.
        run: whose words they are, where training begins with a run and its words stay.
    """
    words = [word for group in captions.values() for caption in group for word in caption]
    known = sum(word != UNK for word in words)
    if not words or known >= _LITTLE * len(words):
        return None
    advice = "take --set minimum_count=2, or bring more captions"
    if run is not None:
        advice = f"they are those of {run}, and stay"
    return (
        f"the vocabulary has {counted(len(vocabulary.words), 'word')}, only "
        f"{known / len(words):.0%} of the "
        f"words in the training captions; {advice}"
    )


class Lengths(NamedTuple):
    """How many captions are longer than what a captioner may say."""

    captions: int
    longer: int
    longest: int
    """Words of the longest caption."""

    @classmethod
    def of(cls, lengths: Iterable[int], maximum: int) -> "Lengths":
        """Count captions of these lengths, and those of more than `maximum` words."""
        counts = list(lengths)
        return cls(len(counts), sum(n > maximum for n in counts), max(counts, default=0))

    def told_of_references(self, maximum: int) -> str | None:
        """Say what longer references mean for scores; None where there is none."""
        if not self.longer:
            return None
        said = (
            f"{part(self.longer, self.captions, 'reference', 'has', 'have')} more than {maximum} "
            "words, the most that a caption of this run may have (maximum_words). Against such a "
            "reference every caption is too short, which lowers the scores"
        )
        if self.longer <= _FEW_LONGER * self.captions:
            return f"{said}, but so few hardly matter."
        return f"{said}. To allow longer captions, train with --set maximum_words={self.longest}."

    def told(self, maximum: int) -> str | None:
        """Say what longer captions mean for training; None where there is none."""
        if not self.longer:
            return None
        note = (
            f"{part(self.longer, self.captions, 'training caption', 'is', 'are')} longer than "
            f"maximum_words={maximum} and {by_number(self.longer, 'was', 'were')} cut: the last "
            "words and the end were left out"
        )
        if 2 * self.longer > self.captions:
            note += (
                ". Most captions here are that long: sentences will hardly ever end. Set "
                f"--set maximum_words={self.longest}"
            )
        return note


def lengths(captions: Mapping[str, list[list[int]]], maximum: int) -> Lengths:
    """Count the captions, as word ids, that are longer than `maximum` words."""
    return Lengths.of((len(one) for group in captions.values() for one in group), maximum)
