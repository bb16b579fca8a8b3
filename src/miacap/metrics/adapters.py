"""miacap's scores behind two interfaces that people know, without importing either library.

metric = CaptionScore()                       # torchmetrics: update, compute, reset
metric.update(captions, references); metric.compute()

metric = CaptionEvaluation()                  # Hugging Face evaluate: compute, add, add_batch
metric.compute(predictions=captions, references=references)
"""

from collections.abc import Sequence
from typing import Any

from miacap.errors import DataError
from miacap.metrics.scoring import Scores, score

Captions = str | Sequence[str]


class CaptionScore:
    """Collect captions batch by batch, then score them all at once.

    Args:
        metrics: names out of `miacap.metrics.METRICS`; None takes all that are installed.
        options: more options of `miacap.metrics.score`.
    """

    higher_is_better = True
    is_differentiable = False

    def __init__(self, metrics: Sequence[str] | None = None, **options: Any) -> None:
        self._metrics, self._options = metrics, options
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.preds: list[str] = []
        self.target: list[list[str]] = []

    def update(self, preds: Captions, target: Sequence[Captions]) -> None:
        """Add captions and their references (one caption and its references, or lists of both).

        Raises:
            DataError: not as many references as captions.
        """
        if isinstance(preds, str):
            own = [target] if isinstance(target, str) else [str(caption) for caption in target]
            preds, target = [preds], [own]
        if len(preds) != len(target):
            raise DataError(f"{len(preds)} captions but references for {len(target)} pictures.")
        self.preds += preds
        self.target += [[some] if isinstance(some, str) else list(some) for some in target]

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
    """Score predictions against references in one call, or add them bit by bit."""

    name = "miacap"

    def __init__(self, metrics: Sequence[str] | None = None, **options: Any) -> None:
        self._collected = CaptionScore(metrics, **options)

    def add(self, *, prediction: str, references: Captions) -> None:
        """Add one caption and its references."""
        self._collected.update([prediction], [references])

    def add_batch(self, *, predictions: Sequence[str], references: Sequence[Captions]) -> None:
        """Add captions and their references."""
        self._collected.update(predictions, references)

    def compute(
        self,
        *,
        predictions: Sequence[str] | None = None,
        references: Sequence[Captions] | None = None,
    ) -> dict[str, float | str]:
        """Metric -> corpus score, and ``signature``; what was added is forgotten."""
        if predictions is not None and references is not None:
            self.add_batch(predictions=predictions, references=references)
        elif predictions is not None or references is not None:
            raise DataError("Give both predictions and references, or neither.")
        scores = self._collected.scores()
        self._collected.reset()
        return {**scores, "signature": scores.signature}
