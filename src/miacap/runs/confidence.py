"""How far a run's captions may be trusted: `confidence.json` in its folder.

Two things are asked of a caption. How often captions that are as probable as this one are wrong:

    wrong = 1 / (1 + exp(-(b_0 + b_1 * log p a word)))

And whether the photo is like those that this was learned on at all: a captioner is quite sure of
what it says of noise. The mean of a photo's regions is compared with the typical one:

    likeness = cosine(mean of the photo's rows, mean of the same over the split)

Below the likeness that 3 of 100 photos of the split do not reach, the photo is out of the run's
depth, and no share is given. `captioning/calibrating.py` fits the numbers.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from miacap.errors import DataError, RunError, SettingsError
from miacap.files import read_json, sha256, write_json
from miacap.pictures import Pictures
from miacap.settings import check_at_least, from_json, to_json

if TYPE_CHECKING:
    from miacap.runs.trained import Trained

__all__ = ["FILE", "Bin", "Calibration", "Confidence", "calibration_of", "carry", "likeness"]

FILE = "confidence.json"


@dataclass(frozen=True)
class Confidence:
    """How far a caption may be trusted.

    Attributes:
        wrong: share of the captions with this log-probability per word that people would call
            wrong, from 0 to 1 (docs/confidence.md says how it was estimated); None where the
            photo is out of the run's depth.
        unsure: a wrong caption is at least as likely as a right one, or nothing is known.
        out_of_depth: the photo is unlike those that the run was calibrated on.
    """

    wrong: float | None
    unsure: bool
    out_of_depth: bool

    @property
    def sentence(self) -> str:
        """The same in a sentence for people."""
        if self.wrong is None:
            return (
                "The photo is unlike those that the run was calibrated on: how far to trust the "
                "caption is not known."
            )
        return (
            f"Of captions as probable as this one, people would call about {100 * self.wrong:.0f} "
            "in 100 wrong."
        )


@dataclass(frozen=True)
class Bin:
    """A tenth of the captions by what was predicted of them: reliability, cross-validated."""

    predicted: float
    observed: float
    captions: int


@dataclass(frozen=True)
class Calibration:
    """What `confidence.json` holds.

    Attributes:
        intercept: b_0 above.
        slope: b_1 above; below 0.
        typical: mean over the split's pictures of the mean of their rows, of length 1.
        least_likeness: below it a photo is out of the run's depth.
        weights_sha256: of the weights that it was made with; of others it says nothing.
        split: whose captions it was fitted on.
        pictures: how many.
        wrong: share of their captions that people would call wrong.
        ratings: shares of their captions that people would rate 1, 2, 3 and 4, by what they score
            (`captioning/ratings.py`); 1 and 2 are wrong.
        calibration_error: expected calibration error, each half of the pictures predicted from
            the other one.
        bins: the ten parts that it sums over.
        format: of this file.
    """

    intercept: float
    slope: float
    typical: tuple[float, ...]
    least_likeness: float
    weights_sha256: str
    split: str
    pictures: int
    wrong: float
    ratings: tuple[float, float, float, float]
    calibration_error: float
    bins: tuple[Bin, ...]
    format: Literal[2] = 2

    def __post_init__(self) -> None:
        if not (0 <= self.wrong <= 1 and 0 <= self.calibration_error <= 1):
            raise SettingsError("wrong and calibration_error lie in [0, 1].")
        if min(self.ratings) < 0 or abs(sum(self.ratings) - 1) > 1e-6:
            raise SettingsError("ratings are four shares whose sum is 1.")
        check_at_least(1, pictures=self.pictures)
        if not self.slope < 0 or not any(self.typical):
            raise SettingsError("slope is below 0, and typical holds numbers other than 0.")

    def share(self, per_word: float) -> float:
        """Give the share of captions with this log-probability per word that are wrong."""
        odds = self.intercept + self.slope * per_word
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, odds))))

    def confidence(self, per_word: float, alike: float) -> Confidence:
        """Say how far a caption may be trusted.

        Args:
            per_word: its log-probability per word.
            alike: likeness of its photo, as `likeness` gives it.
        """
        if not alike >= self.least_likeness:
            return Confidence(None, unsure=True, out_of_depth=True)
        wrong = self.share(per_word)
        return Confidence(wrong, unsure=wrong >= 0.5, out_of_depth=False)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write it into a run folder."""
        write_json(Path(folder) / FILE, to_json(self))


def likeness(pictures: Pictures, typical: Sequence[float]) -> Float[Tensor, " B"]:
    """Give the cosine between the mean of each picture's rows and the typical one.

    Raises:
        RunError: the rows are of another width.
    """
    rows = pictures.regions.double()
    if rows.shape[2] != len(typical):
        raise RunError(
            f"{FILE}: made for regions of width {len(typical)}, not {rows.shape[2]}; calibrate the "
            "run again (miacap evaluate RUN DATA --features F --calibrate)."
        )
    held = pictures.region_mask.unsqueeze(2)
    means = (rows * held).sum(1) / held.sum(1).clamp(min=1)
    wanted = torch.tensor(typical, dtype=torch.float64, device=rows.device)
    return torch.cosine_similarity(means, wanted[None], dim=1)


def calibration_of(run: "Trained") -> tuple[Calibration | None, str]:
    """Give a run's calibration, and else why it has none.

    Several runs together have none, nor has one whose weights are not those that it was made
    with, nor one of format 1: its shares were those of captions retrieved from other photos.

    Raises:
        RunError: `confidence.json` is damaged.
    """
    if len(run.members) != 1:
        return None, "several runs together are not calibrated"
    file = run.folder / FILE
    if not file.is_file():
        return None, f"{run.folder} is not calibrated"
    try:
        tree = read_json(file)
        if isinstance(tree, dict) and tree.get("format") == 1:
            return None, (
                f"{file} is of an earlier miacap, which took far too many captions for wrong, so "
                "that the run is not calibrated"
            )
        found = from_json(Calibration, tree, str(file))
    except (DataError, SettingsError) as error:
        raise RunError(f"{error} Delete {file}, or calibrate again.") from None
    if found.weights_sha256 != sha256(run.folder / "weights.safetensors"):
        return None, f"{file} was made with other weights, so that the run is not calibrated"
    return found, ""


def carry(run: "Trained", target: str | os.PathLike[str]) -> None:
    """Give a run's calibration to a folder whose weights are the run's, rounded."""
    found, _ = calibration_of(run)
    if found is not None:
        weights = Path(target) / "weights.safetensors"
        replace(found, weights_sha256=sha256(weights)).save(target)
