"""Captions of many pictures: batches in, a row for each picture out."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import torch

from miacap.captioning.candidates import Candidate, candidates_of
from miacap.decoding import Hypothesis, Rule, SearchSettings, search
from miacap.parts import WHOLE, Sharing
from miacap.pictures import Pictures
from miacap.runs import Trained
from miacap.runs.confidence import Calibration, Confidence, likeness
from miacap.settings import from_json
from miacap.text import Vocabulary, detokenize


@dataclass(frozen=True)
class Row:
    """One picture's caption, as `miacap caption --format jsonl` prints it.

    `log_probability` is the sum over the caption's words and its end; `score` is what the search
    ranked by, where a length penalty made that another number; `per_word` is
    `log_probability` divided by the number of words and the end. `candidates` are there where
    they were asked for: the caption itself with each word's log-probability, then the best
    others. `confidence` is None where the run is not calibrated. A picture that could not be
    captioned has an error and no caption.
    """

    id: str
    caption: str | None = None
    log_probability: float | None = None
    score: float | None = None
    error: str | None = None
    per_word: float | None = None
    candidates: tuple[Candidate, ...] = ()
    confidence: Confidence | None = None

    def to_json(self) -> dict[str, Any]:
        """Give id, caption, log_probability (and score), or id and error."""
        if self.error is not None:
            return {"id": self.id, "error": self.error.removeprefix(f"{self.id}: ")}
        row = {"id": self.id, "caption": self.caption, "log_probability": self.log_probability}
        return row if self.score is None else {**row, "score": self.score}

    def record(self) -> dict[str, Any]:
        """Give all that is known, for `miacap caption --scores` and programs.

        Beside what `to_json` gives: log_probability_per_word, confidence (wrong, unsure,
        out_of_depth; null where the run is not calibrated) and candidates.
        """
        if self.error is not None:
            return self.to_json()
        sure = self.confidence
        return {
            **self.to_json(),
            "log_probability_per_word": self.per_word,
            "confidence": None if sure is None else asdict(sure),
            "candidates": [candidate.to_json() for candidate in self.candidates],
        }


def shared(rows: Iterator[Row], size: int, sharing: Sharing) -> Iterator[Row]:
    """Give the main process the rows of all, in the order of the pictures.

    Args:
        rows: of this process's groups of `size` pictures (`Part.groups`).
        size: pictures a group.
        sharing: the processes.
    """
    if sharing.part == WHOLE:
        yield from rows
        return
    groups = iter(lambda: list(islice(rows, size)), [])
    own = (json.dumps([asdict(row) for row in group]).encode() for group in groups)
    for data in sharing.in_turn(own):
        for row in json.loads(data):
            yield from_json(Row, row, "a row of another process")


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
    best: int = 0,
    calibration: Calibration | None = None,
    rules: Sequence[Rule] = (),
) -> Iterator[Row]:
    """Caption pictures in their order, in float32.

    Args:
        captioner: any that fulfils the contract, on `device`.
        batches: the pictures, a batch at a time.
        vocabulary: of the captions.
        settings: of the search.
        device: where the captioner is.
        best: candidates that each row gets, its caption among them; 0 leaves them out.
        calibration: of the captioner; None leaves the rows without confidence.
        rules: on logits, besides those of the settings.
    """
    captioner.eval()
    for pictures in batches:
        there = pictures.to(device)
        with torch.inference_mode():
            found = search(captioner, there, settings, rules)
            told: Sequence[tuple[Candidate, ...]] = [()] * len(found)
            if best:
                told = list(
                    candidates_of(captioner, there, found, best, vocabulary, settings, rules)
                )
        sure = _confidences(there, found, calibration)
        penalty = settings.length_penalty
        for name, hypothesis, candidates, confidence in zip(
            pictures.names, found, told, sure, strict=True
        ):
            yield Row(
                name,
                detokenize(vocabulary.decode(list(hypothesis.words))),
                hypothesis.log_probability,
                hypothesis.score(penalty) if penalty else None,
                per_word=hypothesis.score(1.0),
                candidates=candidates,
                confidence=confidence,
            )


def _confidences(
    pictures: Pictures, found: Sequence[Hypothesis], calibration: Calibration | None
) -> list[Confidence | None]:
    if calibration is None:
        return [None] * len(found)
    alike = likeness(pictures, calibration.typical).tolist()
    pairs = zip(found, alike, strict=True)
    return [calibration.confidence(h.score(1.0), near) for h, near in pairs]
