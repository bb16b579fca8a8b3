"""miacap's scores behind two interfaces that people know, without importing either library.

metric = CaptionScore()                       # torchmetrics: update, compute, reset
metric.update(captions, references); metric.compute()

metric = CaptionEvaluation()                  # Hugging Face evaluate: compute, add, add_batch
metric.compute(predictions=captions, references=references)
"""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from miacap.errors import DataError
from miacap.metrics.names import chosen
from miacap.metrics.scoring import Scores, score
from miacap.wording import counted

Captions = str | Sequence[str]


class CaptionScore:
    """Collect captions batch by batch, then score them all at once.

    Args:
        metrics: names out of `miacap.metrics.METRICS`; None takes all that are installed.
        options: more options of `miacap.metrics.score`.

    Raises:
        UnknownName: a metric that does not exist.
        TypeError: an option that does not exist.
    """

    higher_is_better = True
    is_differentiable = False

    def __init__(self, metrics: Sequence[str] | None = None, **options: Any) -> None:
        # What is misspelt shall be said now, not after the last batch.
        chosen(metrics)
        inspect.signature(score).bind([], [], metrics, **options)
        self._metrics, self._options = metrics, options
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.preds: list[str] = []
        self.target: list[list[str]] = []

    def update(self, preds: Captions, target: Sequence[Captions]) -> None:
        """Add captions and their references (one caption and its references, or lists of both).

        Raises:
            DataError: not as many references as captions, or what is no caption; then nothing
                is added.
        """
        if isinstance(preds, str):
            # torchmetrics takes one caption's references bare or in a list of one list.
            alone = isinstance(target, str) or not _holds_one_list(target)
            preds, target = [preds], [target] if alone else target  # type: ignore[list-item]
        captions = [_caption(caption) for caption in preds]
        if isinstance(target, str) or len(captions) != len(target):
            given = "one text" if isinstance(target, str) else counted(len(target), "picture")
            raise DataError(f"{counted(len(captions), 'caption')} but references for {given}.")
        references = [_references(some) for some in target]
        self.preds += captions
        self.target += references

    def scores(self) -> Scores:
        """All that `miacap.metrics.score` gives: per picture, signature, statistics."""
        return score(self.target, self.preds, self._metrics, **self._options)

    def compute(self) -> dict[str, float]:
        """Metric -> corpus score of everything that was added."""
        return dict(self.scores())

    def __call__(self, preds: Captions, target: Sequence[Captions]) -> dict[str, float]:
        """Score one batch alone, and add it."""
        alone = CaptionScore(self._metrics, **self._options)
        alone.update(preds, target)
        self.update(preds, target)
        return alone.compute()


class CaptionEvaluation:
    """Score predictions against references in one call, or add them bit by bit.

    Args:
        metrics, options: as for `CaptionScore`.
    """

    name = "miacap"

    def __init__(self, metrics: Sequence[str] | None = None, **options: Any) -> None:
        self._collected = CaptionScore(metrics, **options)

    def add(
        self,
        *,
        prediction: str,
        reference: Captions | None = None,
        references: Captions | None = None,
    ) -> None:
        """Add one caption and its references (evaluate's name for them here is `reference`)."""
        if (reference is None) == (references is None):
            raise DataError("Give the caption's references once: reference or references.")
        given = references if reference is None else reference
        self._collected.update([prediction], [given])  # type: ignore[list-item]

    def add_batch(self, *, predictions: Sequence[str], references: Sequence[Captions]) -> None:
        """Add captions and their references."""
        self._collected.update(predictions, references)

    def compute(
        self,
        *,
        predictions: Sequence[str] | None = None,
        references: Sequence[Captions] | None = None,
    ) -> dict[str, float | str]:
        """Metric -> corpus score, and `signature`; what was added is forgotten."""
        if (predictions is None) != (references is None):
            raise DataError("Give both predictions and references, or neither.")
        if predictions is not None and references is not None:
            self.add_batch(predictions=predictions, references=references)
        try:
            scores = self._collected.scores()
        finally:
            self._collected.reset()
        return {**scores, "signature": scores.signature}


def _holds_one_list(target: Sequence[Captions]) -> bool:
    return len(target) == 1 and not isinstance(target[0], str)


def _caption(value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"A caption is text, not {value!r:.60}.")
    return value


def _references(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable):
        raise DataError(f"A caption's references are text or a list of texts, not {value!r:.60}.")
    return [_caption(caption) for caption in value]
