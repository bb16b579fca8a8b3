"""What a run is trained for: one settings record for each objective, told apart by its kind.

`captioning` has the objectives themselves, a file each.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from miacap.errors import SettingsError, UnknownName
from miacap.metrics.names import REWARDS
from miacap.settings import check_at_least, check_at_most, check_share

__all__ = ["WATCHED", "CrossEntropy", "Objective", "SelfCritical"]

WATCHED = "CIDEr-D"
"""The dev score that picks the best weights, unless the setting `training.watch` names another."""

_MOST_SAMPLES = 1_000


@dataclass(frozen=True)
class CrossEntropy:
    """Say each word of the reference captions (`captioning/cross_entropy.py`)."""

    kind: Literal["cross-entropy"] = "cross-entropy"
    label_smoothing: float = 0.0
    """Share of each target that goes to the other words, in training alone; 0.1 helps against
    learning captions by heart."""
    sampling_most: float = 0.0
    """Scheduled sampling: the largest share of input words that are drawn from the captioner
    itself; 0 is off, 0.25 is common."""
    sampling_increase: float = 0.05
    """Scheduled sampling: by how much the share grows each time."""
    sampling_every: int = 5
    """Scheduled sampling: epochs after which the share grows."""
    sampling_begin: int = 0
    """Scheduled sampling: epochs before those that `sampling_every` counts."""
    regulariser: float = 0.0
    """Weight of the captioner's own regulariser in the loss. ATT-FCN's has 1 in its paper, at 10
    concepts; with k of them 0.01 / k is a start. 0 leaves it out; other captioners have none."""

    def __post_init__(self) -> None:
        check_share(label_smoothing=self.label_smoothing)
        check_at_least(0, sampling_most=self.sampling_most, sampling_begin=self.sampling_begin)
        check_at_most(1, sampling_most=self.sampling_most, sampling_increase=self.sampling_increase)
        check_at_least(0, sampling_increase=self.sampling_increase)
        check_at_least(1, sampling_every=self.sampling_every)
        if self.sampling_most and self.regulariser:
            raise SettingsError(
                "A regulariser looks at the captions as a whole, scheduled sampling goes through "
                "them word by word: set sampling_most or regulariser to 0."
            )
        if not 0.0 <= self.regulariser < math.inf:
            raise SettingsError(f"regulariser is 0 or more, not {self.regulariser}.")


@dataclass(frozen=True)
class SelfCritical:
    """Raise the reward of one's own samples above a baseline (`captioning/self_critical.py`)."""

    kind: Literal["self-critical"] = "self-critical"
    baseline: Literal["mean", "greedy", "beam"] = "mean"
    """What a sample's reward is compared with: the mean of the picture's other samples; that of
    the greedy caption; or, where the hypotheses of a beam stand for samples, their mean."""
    samples: int = 5
    """Samples a picture; under beam the hypotheses of the beam."""
    rewards: dict[str, float] = field(default_factory=lambda: {"CIDEr-D": 1.0})
    """Weight of each metric in the reward: CIDEr-D (0 to 10), BLEU-1 to BLEU-4, ROUGE-L (0 to 1).
    CIDEr-D takes its document frequencies from the training captions."""
    end: bool = True
    """Whether the end of a caption counts as a word of it; without, captions learn to stop in the
    middle ("a man riding a")."""
    dropout: bool = False
    """False: samples are drawn, and the loss is taken, without dropout. True: both with the same
    dropout. Under beam there is no dropout."""

    def __post_init__(self) -> None:
        check_at_least(1 if self.baseline == "greedy" else 2, samples=self.samples)
        check_at_most(_MOST_SAMPLES, samples=self.samples)
        for name, weight in self.rewards.items():
            if name not in REWARDS:
                raise UnknownName("reward", name, REWARDS)
            check_at_least(0, **{f"rewards.{name}": weight})
        if not any(self.rewards.values()):
            raise SettingsError(
                "rewards weighs nothing: give one metric a weight above 0, such as CIDEr-D."
            )
        if self.dropout and self.baseline == "beam":
            raise SettingsError(
                "A beam searches without dropout, so dropout=true goes with the baselines mean "
                "and greedy alone."
            )


Objective = CrossEntropy | SelfCritical
"""Any of them. Another objective is a record here, and a file in `captioning`."""
