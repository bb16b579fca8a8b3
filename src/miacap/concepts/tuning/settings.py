"""What can be chosen about tuning a backbone."""

from dataclasses import dataclass, field

from miacap.concepts.networks import KINDS, Kind
from miacap.errors import SettingsError
from miacap.settings import (
    check_at_least,
    check_at_most,
    check_pixels,
    check_seed,
    check_share,
)
from miacap.training import TrainingSettings
from miacap.visual.learning import STAGES

_MOST_FOLDS = 20
"""A whole network is tuned for each fold."""


def tuning_training() -> TrainingSettings:
    """Training settings that suit a tuned network."""
    return TrainingSettings(
        epochs=8,
        learning_rate=1e-3,
        optimiser="adamw",
        weight_decay=0.01,
        warmup_steps=100,
        schedule="cosine",
        clip_norm=0.0,
        patience=2,
        checkpoint_every=100,
    )


@dataclass(frozen=True)
class TuneSettings:
    """Settings of `concepts.tune`. Raises SettingsError where a value makes no sense."""

    stages: int = STAGES
    """How many of the network's last stages learn: 9 are all of them (stem, seven stages of
    blocks, head)."""
    backbone_rate: float = 0.3
    """The backbone's learning rate, as a part of `training.learning_rate`, which the extractor on
    top of it learns at."""
    backbone_decay: float = 0.0
    """Pull of the backbone's matrices towards zero, in place of `training.weight_decay`."""
    flips: bool = True
    """Mirror every second photo, at random. The words left and right are then learned wrongly."""
    crops: float = 0.2
    """Show a part of a photo, at random, whose sides are at least 1 - `crops` of its own; 0 shows
    the whole."""
    size: int | tuple[int, int] | None = None
    """What the network sees of a whole photo, in pixels; none: what it sees by itself (224)."""
    crop_size: int | tuple[int, int] | None = None
    """What it sees while it learns, in pixels; none: as much as of a whole photo. A part of a photo
    shows things larger: with `crops` at 0.2, seven eighths of `size` show them about as large."""
    extractor: Kind = "multiple-instance"
    """What finds the words in the network's map, as for `concepts train`."""
    words: int = 1000
    """Concepts, at most: the most frequent content words of the training captions."""
    words_file: str | None = None
    """A file of words, one a line, to look for instead."""
    minimum_count: int = 5
    """A concept occurs at least this often in the training captions, as caption words do."""
    hidden: int = 512
    """Size of the extractor's hidden layer; 0 for none."""
    dropout: float = 0.3
    """Of the hidden layer, or of the rows where there is none."""
    folds: int = 0
    """Further networks, each tuned without a part of the training photos, whose concepts it finds:
    concepts out of fold, in the folder `concepts`. 0: none."""
    batch_size: int = 16
    """Photos a step."""
    seed: int = 0
    """Of order, views, folds, first weights and dropout; `training.seed` is not used."""
    training: TrainingSettings = field(default_factory=tuning_training)

    def __post_init__(self) -> None:
        check_at_least(
            1,
            words=self.words,
            minimum_count=self.minimum_count,
            batch_size=self.batch_size,
            stages=self.stages,
        )
        check_at_most(STAGES, stages=self.stages)
        check_at_least(
            0,
            hidden=self.hidden,
            folds=self.folds,
            backbone_rate=self.backbone_rate,
            backbone_decay=self.backbone_decay,
        )
        check_at_most(100, backbone_rate=self.backbone_rate)
        check_at_most(_MOST_FOLDS, folds=self.folds)
        check_seed(self.seed)
        check_share(dropout=self.dropout, crops=self.crops)
        check_pixels(size=self.size, crop_size=self.crop_size)
        if self.folds == 1:
            raise SettingsError("folds is 0 or at least 2, not 1.")
        if self.extractor not in KINDS:
            raise SettingsError(f"extractor is one of {', '.join(KINDS)}, not {self.extractor!r}.")
