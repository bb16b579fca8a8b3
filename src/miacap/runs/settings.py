"""The settings of one run, written whole into its folder."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from miacap import captioners
from miacap.errors import SettingsError
from miacap.settings import check_at_least, check_at_most, check_share
from miacap.training import TrainingSettings

FORMAT = 1
"""Newest layout of a run folder that this version reads and the one that it writes."""


_MOST = {"beam": 1_000, "maximum_words": 1_000}
"""Beyond these a search would not end, or not fit into memory."""

_ELSEWHERE = {
    "name": "the run's captioner does",
    "source": "the run's source does",
    "words": "the vocabulary does",
    "region_width": "the features do",
}
"""What building a captioner also needs, and who decides it."""


def captioner_training() -> TrainingSettings:
    """Training settings that suit a captioner on two cores (docs/log.md has what they reach)."""
    return TrainingSettings(
        epochs=12,
        learning_rate=1e-3,
        optimiser="adamw",
        warmup_steps=200,
        schedule="cosine",
        clip_norm=5.0,
        patience=3,
    )


@dataclass(frozen=True)
class RunSettings:
    """What makes a run: captioner, source, words, decoding, training.

    ``sizes`` are the captioner's own (width, dropout, iterations, ...); a name that it
    does not know is refused when it is built.
    """

    captioner: str = "spatial-attention"
    source: str = "combined"
    sizes: dict[str, Any] = field(default_factory=dict)
    region_width: int = 1280
    concepts: int | None = None
    """Concepts per picture under sizes.rows = aligned; match takes as many as regions."""
    minimum_count: int = 5
    """A word must occur this often in the training captions to be in the vocabulary."""
    maximum_words: int = 20
    """Longest caption, in training and in search."""
    beam: int = 3
    """Hypotheses of the search; 1 is greedy."""
    pictures_per_batch: int = 16
    """Photos in a training batch, each with all of its captions."""
    label_smoothing: float = 0.0
    """Share of each target that goes to the other words, in training alone; 0.1 helps against
    learning captions by heart."""
    attention_penalty: float = 0.0
    """Weight of ATT-FCN's regularisers in the training loss: 1 in its paper, at 10 concepts;
    with k of them 0.01 / k is a start. 0 leaves them out; other captioners have none."""
    training: TrainingSettings = field(default_factory=captioner_training)
    format: int = FORMAT

    @property
    def rows(self) -> Literal["match", "aligned"]:
        """How many concepts a picture gets: the captioner's own size ``rows``."""
        return captioners.sizes(self.captioner, self.source, **self.sizes).rows

    def __post_init__(self) -> None:
        check_at_least(
            1,
            region_width=self.region_width,
            concepts=self.concepts,
            minimum_count=self.minimum_count,
            maximum_words=self.maximum_words,
            beam=self.beam,
            pictures_per_batch=self.pictures_per_batch,
        )
        for name, most in _MOST.items():
            check_at_most(most, **{name: getattr(self, name)})
        for name, decides in _ELSEWHERE.items():
            if name in self.sizes:
                raise ValueError(f"sizes.{name} is not for sizes to say: {decides}.")
        check_share(label_smoothing=self.label_smoothing)
        if not 0.0 <= self.attention_penalty < math.inf:
            raise SettingsError(f"attention_penalty is 0 or more, not {self.attention_penalty}.")
        if self.attention_penalty and captioners.regulariser(self.captioner) is None:
            having = [name for name in captioners.names() if captioners.regulariser(name)]
            raise SettingsError(
                f"attention_penalty={self.attention_penalty} weighs a regulariser, which "
                f"{self.captioner!r} does not have. Captioners that have one: "
                f"{', '.join(having)}."
            )
