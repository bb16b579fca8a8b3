"""What a run's calibration says of one caption: how often captions like it are wrong."""

from dataclasses import dataclass

__all__ = ["Confidence"]


@dataclass(frozen=True)
class Confidence:
    """How far a caption may be trusted, by its log-probability per word.

    Attributes:
        wrong: share of the captions with this log-probability per word that people would call
            wrong, from 0 to 1 (docs/captioning.md says how it was estimated).
        unsure: a wrong caption is more likely than a right one.
        out_of_depth: the photo is unlike those that the run was calibrated on; `wrong` is then no
            more than a lower bound.
    """

    wrong: float
    unsure: bool
    out_of_depth: bool
