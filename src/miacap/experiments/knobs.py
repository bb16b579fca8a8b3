"""Knobs and arms: what tells one form of a baseline from another."""

from dataclasses import dataclass
from typing import Any

from miacap.errors import SettingsError, nearest

__all__ = ["ATTENTIONS", "LOSSES", "ORDERS", "REFINED", "Arm", "Knobs", "Probe"]

ORDERS = ("concepts-first", "regions-first")
ATTENTIONS = ("mutual", "self")
LOSSES = ("cross-entropy", "self-critical")
REFINED = ("regions", "concepts", "combined", "both")
"""Sources that pass the refiner."""


@dataclass(frozen=True)
class Knobs:
    """The five knobs. Raises SettingsError for a value that makes no sense."""

    source: str = "combined"
    order: str = "concepts-first"
    iterations: int = 2
    attention: str = "mutual"
    loss: str = "cross-entropy"

    def __post_init__(self) -> None:
        for name, choices in (("order", ORDERS), ("attention", ATTENTIONS), ("loss", LOSSES)):
            value = getattr(self, name)
            if value not in choices:
                raise SettingsError(
                    f"{name} is one of {', '.join(choices)}, not {value!r}."
                    f"{nearest(str(value), choices)}"
                )
        if self.iterations < 0:
            raise SettingsError(f"iterations is 0 or more, not {self.iterations}.")
        if self.source not in REFINED and self.turned():
            raise SettingsError(
                f"The source {self.source!r} refines nothing: {', '.join(self.turned())} has no "
                "meaning there."
            )

    def turned(self) -> list[str]:
        """Say which of the refiner's knobs differ from the paper's main form."""
        said = []
        if self.iterations != 2:
            said.append(f"n{self.iterations}")
        if self.order != ORDERS[0]:
            said.append(self.order)
        if self.attention != ATTENTIONS[0]:
            said.append("self-attention")
        return said

    def sizes(self) -> dict[str, Any]:
        """Give the captioner's sizes that the knobs set; none where nothing is refined."""
        if self.source not in REFINED:
            return {}
        return {"order": self.order, "iterations": self.iterations, "attention": self.attention}


@dataclass(frozen=True)
class Probe:
    """One more reading of a captioner that was trained once; it is never trained this way."""

    label: str
    iterations: int | None = None
    """N while reading; None: as trained."""
    others_concepts: bool = False
    """Whether each picture gets the concepts of another one."""


@dataclass(frozen=True)
class Arm:
    """One form of a baseline, by name."""

    name: str
    knobs: Knobs
    says: str
    others_concepts: bool = False
    """Trained on the concepts of other pictures."""
    probes: tuple[Probe, ...] = ()
    as_large_as: Knobs | None = None

    @property
    def of_knobs_alone(self) -> bool:
        """Whether the knobs say all there is to it."""
        return not (self.others_concepts or self.probes or self.as_large_as)
