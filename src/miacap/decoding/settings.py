"""What is searched for, as settings, and the one function that searches by them."""

from collections.abc import Sequence
from dataclasses import dataclass

from miacap.captioners.contract import Captioner, M, S
from miacap.decoding.beams import beam, check_penalty
from miacap.decoding.hypotheses import Hypothesis
from miacap.decoding.rules import BlockRepeats, MinimumLength, Rule
from miacap.decoding.sampling import greedy
from miacap.errors import SettingsError
from miacap.pictures import Pictures
from miacap.settings import check_at_least, check_at_most
from miacap.wording import counted

__all__ = ["SearchSettings", "search"]

_LONGEST = 1_000
"""Steps beyond which a search would not end."""


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
        check_at_most(_LONGEST, maximum_words=self.maximum_words)
        check_at_least(0, minimum_words=self.minimum_words, block_repeats=self.block_repeats)
        check_penalty(self.length_penalty)
        if self.minimum_words > self.maximum_words:
            raise SettingsError(
                f"A caption of at least {counted(self.minimum_words, 'word')} has no room in "
                f"maximum_words = {self.maximum_words}; lower minimum_words or raise "
                "maximum_words."
            )

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules on logits that these settings ask for."""
        length = (MinimumLength(self.minimum_words),) if self.minimum_words else ()
        repeats = (BlockRepeats(self.block_repeats),) if self.block_repeats else ()
        return (*length, *repeats)


def search(
    captioner: Captioner[M, S],
    pictures: Pictures,
    settings: SearchSettings = SearchSettings(),
    rules: Sequence[Rule] = (),
) -> list[Hypothesis]:
    """Give the best caption of each picture.

    Args:
        captioner: anything that fulfils the contract; searched in eval mode, no gradients.
        pictures: B of them, searched at once.
        settings: beam, lengths and the rules that can be written down.
        rules: more rules (words to forbid, bad endings), applied after those of the settings.

    Returns:
        One caption a picture. Its log-probability is the captioner's own: not normalised by
        length, not renormalised for forbidden words.

    Raises:
        SettingsError: a beam that memory does not hold, or rules that leave a picture no
            caption.
        RunError: the captioner's numbers are NaN or infinite.
    """
    every = (*settings.rules, *rules)
    if settings.beam == 1 and settings.length_penalty == 0:
        return greedy(captioner, pictures, settings.maximum_words, every)
    ranked = beam(
        captioner,
        pictures,
        width=settings.beam,
        maximum=settings.maximum_words,
        rules=every,
        length_penalty=settings.length_penalty,
    )
    return [best[0] for best in ranked]
