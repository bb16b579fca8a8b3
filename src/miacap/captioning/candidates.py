"""Captions with all that is known of them: each word's log-probability, and the n best.

A run's caption is always the one that its own search finds; whoever asks for several gets it
first, and behind it the best others of a search that is as wide as needed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from miacap.decoding import Hypothesis, SearchSettings, n_best, word_log_probabilities
from miacap.decoding.rules import Rule
from miacap.pictures import Pictures
from miacap.text import Vocabulary, detokenize

__all__ = ["Candidate", "Word", "candidates_of"]


@dataclass(frozen=True)
class Word:
    """One word of a caption, or its end.

    `log_probability` is the natural logarithm of the probability of this word after those before
    it; `word` is empty for the end of the caption.
    """

    word: str
    log_probability: float


@dataclass(frozen=True)
class Candidate:
    """One of the n best captions of a picture."""

    caption: str
    """A sentence."""
    log_probability: float
    """Sum over the words and, where the caption ended, its end."""
    per_word: float
    """The same, divided by the number of words (and the end)."""
    words: tuple[Word, ...]
    """The caption's words, and its end last, as an empty word."""
    ended: bool = True
    """False where the run's longest caption cut it off."""

    def to_json(self) -> dict[str, Any]:
        """Give all of it, as `miacap caption --format jsonl` prints it."""
        return {
            "caption": self.caption,
            "log_probability": self.log_probability,
            "log_probability_per_word": self.per_word,
            "ended": self.ended,
            "words": [[word.word, word.log_probability] for word in self.words],
        }


def candidates_of(
    captioner: Any,
    pictures: Pictures,
    found: Sequence[Hypothesis],
    best: int,
    vocabulary: Vocabulary,
    settings: SearchSettings,
    rules: Sequence[Rule] = (),
) -> Iterator[tuple[Candidate, ...]]:
    """Give the candidates of each picture: its caption, then the best others.

    Args:
        captioner: any that fulfils the contract.
        pictures: a batch of them, on the captioner's device.
        found: the caption that the run's own search found, one a picture.
        best: how many candidates, the caption among them; fewer where fewer finished.
        vocabulary: of the captions.
        settings: of the search.
        rules: more rules on logits, as the search for the caption had them.
    """
    rows = [[hypothesis] for hypothesis in found]
    if best > 1:
        ranked = n_best(captioner, pictures, best, settings, rules)
        for row, more in zip(rows, ranked, strict=True):
            others = [h for h in more if h.words != row[0].words]
            row.extend(others[: best - 1])
    gains = word_log_probabilities(captioner, pictures, rows)
    for row, numbers in zip(rows, gains, strict=True):
        yield tuple(_candidate(h, g, vocabulary) for h, g in zip(row, numbers, strict=True))


def _candidate(hypothesis: Hypothesis, gains: Sequence[float], vocabulary: Vocabulary) -> Candidate:
    words = vocabulary.decode(list(hypothesis.words))
    named = [*words, ""] if hypothesis.ended else words
    return Candidate(
        caption=detokenize(words),
        log_probability=hypothesis.log_probability,
        per_word=hypothesis.score(1.0),
        words=tuple(Word(word, gain) for word, gain in zip(named, gains, strict=True)),
        ended=hypothesis.ended,
    )
