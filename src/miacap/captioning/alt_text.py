"""Captions as alternative text: short, no "a photo of", and with a word of doubt where unsure.

The text is not cut: the search itself knows how much room is left, never ends a caption on a
word that cannot end one, and never begins it with "a photo of" and the like, which whoever hears
an alternative text knows already.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from miacap.captioning.rows import Row
from miacap.decoding import Rule, SearchSettings
from miacap.decoding.text_rules import CharacterLimit, ForbidOpenings
from miacap.metrics.diversity import BAD_ENDINGS
from miacap.settings import check_at_least, check_at_most
from miacap.text import Vocabulary
from miacap.text.vocabulary import SPECIAL_NAMES

__all__ = ["DOUBT", "LIMIT", "alt_text", "check_limit", "rules_for", "wide"]

LIMIT = 125
"""Characters that many guides allow, as some screen readers pause behind them."""

DOUBT = "Perhaps: "
"""What an unsure text begins with."""

_SHORTEST = 25
_LONGEST = 10_000
_BEAM = 10
"""Hypotheses where room is short: some of them have to end in time by themselves."""

_NOUNS = (
    "photo", "photos", "photograph", "photographs", "picture", "pictures", "image", "images",
    "pic", "snapshot",
)  # fmt: skip
_BEFORE = (
    "", "a", "an", "the", "this", "one", "two", "some", "this is", "this is a", "this is an",
    "there is a", "here is a",
)  # fmt: skip
_ADJECTIVES = (
    "", "black and white", "old", "blurry", "color", "colour", "colored", "close-up", "closeup",
    "close up", "dark", "nice", "beautiful",
)  # fmt: skip


def check_limit(limit: int) -> None:
    """Refuse a limit that holds no sentence; raises SettingsError."""
    check_at_least(_SHORTEST, alt_text=limit)
    check_at_most(_LONGEST, alt_text=limit)


def rules_for(vocabulary: Vocabulary, limit: int, may_doubt: bool) -> tuple[Rule, ...]:
    """Give the rules on logits under which a search finds alternative texts.

    Args:
        vocabulary: of the captions.
        limit: characters of a text, at most.
        may_doubt: room is left for the word of doubt.

    Raises:
        SettingsError: no word of the vocabulary fits.
    """
    said = (
        [*before.split(), *adjective.split(), noun]
        for before, adjective, noun in product(_BEFORE, _ADJECTIVES, _NOUNS)
    )
    known = [words for words in said if all(word in vocabulary for word in words)]
    openings = tuple(tuple(vocabulary.encode(words)) for words in known)
    room = limit - len(DOUBT) if may_doubt else limit
    open_endings = vocabulary.encode(sorted(word for word in BAD_ENDINGS if word in vocabulary))
    lengths = tuple(len(word) for word in (*SPECIAL_NAMES, *vocabulary.words))
    return CharacterLimit(room, lengths, tuple(open_endings)), ForbidOpenings(openings)


def wide(settings: SearchSettings) -> SearchSettings:
    """Give settings under which a search finds something in little room, and never nothing."""
    return replace(
        settings,
        beam=max(settings.beam, _BEAM),
        minimum_words=max(settings.minimum_words, 1),
    )


def alt_text(rows: Iterator[Row]) -> Iterator[Row]:
    """Put the word of doubt before all captions of unsure rows."""
    for row in rows:
        unsure = row.confidence is not None and row.confidence.unsure
        if row.caption and unsure:
            others = tuple(replace(one, caption=_doubted(one.caption)) for one in row.candidates)
            row = replace(row, caption=_doubted(row.caption), candidates=others)
        yield row


def _doubted(sentence: str) -> str:
    return DOUBT + _lowered(sentence) if sentence else sentence


def _lowered(sentence: str) -> str:
    """Begin with a small letter, where the first word is no name of capitals and not "I"."""
    first = sentence.split(maxsplit=1)[0]
    if first[1:] != first[1:].lower() or first.rstrip(".,'") == "I" or first.startswith("I'"):
        return sentence
    return sentence[0].lower() + sentence[1:]
