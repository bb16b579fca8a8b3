"""Dev scores of a captioner in training: search, then score, then the loss on the references."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from miacap.captioning.cross_entropy import negative_log_likelihood
from miacap.captioning.inputs import Inputs
from miacap.captioning.rows import caption_rows
from miacap.captioning.words import encode
from miacap.metrics import score
from miacap.runs import Run

__all__ = ["WATCHED", "DevScores"]

WATCHED = ("BLEU-4", "ROUGE-L", "CIDEr-D")
"""Dev scores after each epoch; the last one picks the best weights."""

PICTURES_PER_SEARCH = 64


@dataclass
class DevScores:
    """Gives the dev scores of a captioner as it stands.

    Args:
        run: gives vocabulary, beam and limits.
        inputs: regions and concepts of the dev pictures.
        references: raw captions of each dev picture.
    """

    run: Run
    inputs: Inputs
    references: Mapping[str, tuple[str, ...]]

    def __call__(self, module: nn.Module) -> Mapping[str, float]:
        """Give WATCHED, the number of distinct captions and the mean loss (nats per word)."""
        settings = self.run.settings
        device = next(module.parameters()).device
        candidates = self.candidates(module)
        scores = score(dict(self.references), candidates, metrics=WATCHED)
        captioned = self.inputs.batches(
            list(self.references),
            captions=encode(self.run.vocabulary, self.references),
            batch_size=settings.pictures_per_batch,
            maximum=settings.maximum_words,
        )
        return {
            **{name: float(scores[name]) for name in WATCHED},
            "distinct": float(len(set(candidates.values()))),
            "loss per word": negative_log_likelihood(module, captioned.ordered(), device),
        }

    def candidates(self, module: nn.Module) -> dict[str, str]:
        """Caption the dev pictures."""
        names = list(self.references)
        batches = self.inputs.batches(names, batch_size=PICTURES_PER_SEARCH)
        rows = caption_rows(
            module,
            (batch.pictures for batch in batches.ordered()),
            self.run.vocabulary,
            self.run.settings.search,
            next(module.parameters()).device,
        )
        return {row.id: row.caption or "" for row in rows}
