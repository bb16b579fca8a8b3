"""What a run is trained for: one settings record for each objective, told apart by its kind.

`captioning` has the objectives themselves, a file each.
"""

import math
from dataclasses import dataclass
from typing import Literal

from miacap.errors import SettingsError
from miacap.settings import check_share

__all__ = ["CrossEntropy", "Objective"]


@dataclass(frozen=True)
class CrossEntropy:
    """Say each word of the reference captions (`captioning/cross_entropy.py`)."""

    kind: Literal["cross-entropy"] = "cross-entropy"
    label_smoothing: float = 0.0
    """Share of each target that goes to the other words, in training alone; 0.1 helps against
    learning captions by heart."""
    regulariser: float = 0.0
    """Weight of the captioner's own regulariser in the loss. ATT-FCN's has 1 in its paper, at 10
    concepts; with k of them 0.01 / k is a start. 0 leaves it out; other captioners have none."""

    def __post_init__(self) -> None:
        check_share(label_smoothing=self.label_smoothing)
        if not 0.0 <= self.regulariser < math.inf:
            raise SettingsError(f"regulariser is 0 or more, not {self.regulariser}.")


Objective = CrossEntropy
"""Any of them. Another objective is a record here, and a file in `captioning`."""
