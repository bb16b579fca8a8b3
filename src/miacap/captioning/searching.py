"""Captions of many pictures: batches in, rows out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from miacap.decoding import Hypothesis, SearchSettings
from miacap.decoding import search as search_words
from miacap.errors import SettingsError
from miacap.pictures import Pictures
from miacap.text import Vocabulary, detokenize


@dataclass(frozen=True)
class Row:
    """One picture's caption, as `miacap caption --format jsonl` prints it.

    ``log_probability`` is the sum over the caption's words and its end. A picture that
    could not be captioned has an error and no caption.
    """

    id: str
    caption: str | None = None
    log_probability: float | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give ``{"id", "caption", "log_probability"}`` or ``{"id", "error"}``."""
        if self.error is not None:
            return {"id": self.id, "error": self.error}
        return {"id": self.id, "caption": self.caption, "log_probability": self.log_probability}


def at_least_one(**numbers: int | None) -> None:
    """Refuse hypotheses or photos below one; None leaves the choice. Raises SettingsError."""
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise SettingsError(f"{name} is at least 1, not {number}.")


def search(
    captioner: Any,
    batches: Iterable[Pictures],
    vocabulary: Vocabulary,
    *,
    width: int,
    maximum: int,
    device: torch.device | str = "cpu",
) -> Iterator[Row]:
    """Caption pictures with a beam of ``width`` (1 is greedy), in float32, in their order."""
    captioner.eval()
    for pictures in batches:
        with torch.inference_mode():
            found = find(captioner, pictures.to(device), width, maximum)
        for name, best in zip(pictures.names, found, strict=True):
            yield Row(name, sentence(vocabulary, best), best.log_probability)


def find(captioner: Any, pictures: Pictures, width: int, maximum: int) -> list[Hypothesis]:
    """Give the best caption of each picture as word ids; any captioner will do."""
    settings = SearchSettings(beam=width, maximum_words=maximum)
    return search_words(captioner, pictures, settings)


def sentence(vocabulary: Vocabulary, hypothesis: Hypothesis) -> str:
    """Turn word ids into a sentence for people."""
    return detokenize(vocabulary.decode(list(hypothesis.words)))
