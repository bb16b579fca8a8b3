"""Captions of many pictures: batches in, a row for each picture out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from miacap.decoding import SearchSettings, search
from miacap.pictures import Pictures
from miacap.runs import Trained
from miacap.text import Vocabulary, detokenize


@dataclass(frozen=True)
class Row:
    """One picture's caption, as `miacap caption --format jsonl` prints it.

    `log_probability` is the sum over the caption's words and its end; `score` is what the search
    ranked by, where a length penalty made that another number. A picture that could not be
    captioned has an error and no caption.
    """

    id: str
    caption: str | None = None
    log_probability: float | None = None
    score: float | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give id, caption, log_probability (and score), or id and error."""
        if self.error is not None:
            return {"id": self.id, "error": self.error.removeprefix(f"{self.id}: ")}
        row = {"id": self.id, "caption": self.caption, "log_probability": self.log_probability}
        return row if self.score is None else {**row, "score": self.score}


def search_settings(
    run: Trained, beam: int | None, length_penalty: float | None = None
) -> SearchSettings:
    """Give a run's search settings, with what was asked for in their place."""
    settings = run.settings.search
    if beam is not None:
        settings = replace(settings, beam=beam)
    if length_penalty is not None:
        settings = replace(settings, length_penalty=length_penalty)
    return settings


def caption_rows(
    captioner: Any,
    batches: Iterable[Pictures],
    vocabulary: Vocabulary,
    settings: SearchSettings,
    device: torch.device,
) -> Iterator[Row]:
    """Caption pictures in their order, in float32.

    Args:
        captioner: any that fulfils the contract, on `device`.
        batches: the pictures, a batch at a time.
        vocabulary: of the captions.
        settings: of the search.
        device: where the captioner is.
    """
    captioner.eval()
    for pictures in batches:
        with torch.inference_mode():
            best = search(captioner, pictures.to(device), settings)
        for name, hypothesis in zip(pictures.names, best, strict=True):
            text = detokenize(vocabulary.decode(list(hypothesis.words)))
            penalty = settings.length_penalty
            score = hypothesis.score(penalty) if penalty else None
            yield Row(name, text, hypothesis.log_probability, score)
