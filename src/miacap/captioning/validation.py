"""Dev scores of a captioner in training: search, then score, then the loss on the references."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from miacap.captioning.cross_entropy import negative_log_likelihood
from miacap.captioning.inputs import Inputs
from miacap.captioning.reward import REWARDED
from miacap.captioning.rows import caption_rows
from miacap.captioning.words import encode
from miacap.metrics import score
from miacap.metrics.diversity import diversity
from miacap.runs import Run
from miacap.training.task import Example

__all__ = ["NUMBERS", "SHOWN", "WATCHED", "DevScores"]

WATCHED = ("BLEU-4", "ROUGE-L", "CIDEr-D")
"""Dev scores after each epoch; the last one picks the best weights."""

SHOWN = ("distinct", "bad endings", "repeats", "loss per word", *REWARDED)
"""What else a card shows of the best epoch, where an evaluation gave it."""

NUMBERS = (*WATCHED, *(name for name in SHOWN if name not in REWARDED))
"""What `DevScores` gives."""

PICTURES_PER_SEARCH = 64

EXAMPLES = 5
"""Dev pictures whose captions can be looked at while training runs."""


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
    said: Mapping[str, str] = field(default_factory=dict)
    """What was said of the pictures of `few` at the last evaluation."""

    @property
    def few(self) -> list[str]:
        """A handful of the dev pictures, spread over all and the same every time."""
        names = list(self.references)
        return names[:: max(1, len(names) // EXAMPLES)][:EXAMPLES]

    def examples(self) -> list[Example]:
        """Give what was said of a few pictures, beside their first reference."""
        return [Example(name, said, self.references[name][0]) for name, said in self.said.items()]

    def __call__(self, module: nn.Module) -> Mapping[str, float]:
        """Give WATCHED, how varied and how whole the captions are, and the mean loss.

        "distinct" is the number of different captions; "bad endings" ("a man riding a") and
        "repeats" are shares of the captions, as `metrics.diversity` has them; "loss per word" is
        in nats.
        """
        settings = self.run.settings
        device = next(module.parameters()).device
        candidates = self.candidates(module)
        self.said = {name: candidates[name] for name in self.few}
        scores = score(dict(self.references), candidates, metrics=WATCHED)
        varied = diversity(list(candidates.values()))
        captioned = self.inputs.batches(
            list(self.references),
            captions=encode(self.run.vocabulary, self.references),
            batch_size=settings.pictures_per_batch,
            maximum=settings.maximum_words,
        )
        return {
            **{name: float(scores[name]) for name in WATCHED},
            "distinct": float(len(set(candidates.values()))),
            "bad endings": varied.bad_endings,
            "repeats": varied.repeats,
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
