"""What is searched for, as settings; reading them needs no torch."""

from dataclasses import dataclass

from miacap.errors import SettingsError
from miacap.settings import check_at_least, check_at_most
from miacap.wording import counted

__all__ = ["LONGEST_PENALTY", "MOST_HYPOTHESES", "SearchSettings", "check_penalty"]

LONGEST_PENALTY = 10.0
"""At 2 or 3 the longest caption wins already."""

MOST_HYPOTHESES = 1_000
"""Hypotheses or steps beyond which a search would not end."""


def check_penalty(length_penalty: float) -> None:
    """Refuse a length penalty that is no number from 0 to 10; raises SettingsError."""
    check_at_least(0, length_penalty=length_penalty)
    check_at_most(LONGEST_PENALTY, length_penalty=length_penalty)


@dataclass(frozen=True)
class SearchSettings:
    """How captions are searched for. Raises SettingsError where a value makes no sense."""

    beam: int = 3
    """Hypotheses a picture; 1 is greedy search."""
    maximum_words: int = 20
    """Steps, each giving a word or the end."""
    minimum_words: int = 1
    """A caption does not end before it has so many words; 0 allows empty captions."""
    length_penalty: float = 0.0
    """a in score = log p / length^a, by which finished captions are compared; the end counts
    in the length. 0 is off, 1 compares log p a word; more favours longer captions."""
    block_repeats: int = 0
    """No sequence of so many words comes twice in a caption; 0 is off, 3 is common."""

    def __post_init__(self) -> None:
        check_at_least(1, beam=self.beam, maximum_words=self.maximum_words)
        check_at_most(MOST_HYPOTHESES, beam=self.beam, maximum_words=self.maximum_words)
        check_at_least(0, minimum_words=self.minimum_words, block_repeats=self.block_repeats)
        check_penalty(self.length_penalty)
        if self.minimum_words > self.maximum_words:
            raise SettingsError(
                f"A caption of at least {counted(self.minimum_words, 'word')} has no room in "
                f"maximum_words = {self.maximum_words}; lower minimum_words or raise "
                "maximum_words."
            )
