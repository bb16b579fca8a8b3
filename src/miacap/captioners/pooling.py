"""Concepts as one vector, for captioners that read them once or add them to every word.

    a = mean(S_T)                   [eq:pooled-concepts]   concept_input="rows"
    a = concept probabilities       [eq:concept-scores]    concept_input="probabilities"

The second is what Wu et al. and Yao et al. fed; it takes part in no refinement.
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from miacap.captioners.feed import Fed, mean_rows, modalities
from miacap.captioners.settings import FedSizes
from miacap.errors import DataError
from miacap.pictures import Pictures

__all__ = ["ConceptVector", "PooledSizes", "pooled_reads", "row_slots"]


@dataclass(frozen=True)
class PooledSizes(FedSizes):
    """Sizes of a captioner that reads concepts as one vector."""

    concept_input: Literal["rows", "probabilities"] = "rows"
    """"probabilities": the original papers' input, under `plain` alone."""
    concepts: int = 0
    """A: size of the concept vocabulary, for "probabilities"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.concept_input == "probabilities":
            if self.source != "plain":
                raise ValueError(
                    "concept_input='probabilities' goes with source='plain': "
                    f"{self.source!r} needs concepts as rows."
                )
            if self.concepts < 1:
                raise ValueError("concept_input='probabilities' needs concepts, their number.")

    @property
    def concept_width(self) -> int:
        """Width of a."""
        return self.concepts if self.concept_input == "probabilities" else self.width


def row_slots(sizes: PooledSizes, slots: tuple[str, ...]) -> tuple[str, ...]:
    """Give those slots that hold rows: probabilities take the place of the concepts' rows."""
    scored = sizes.concept_input == "probabilities"
    return tuple(slot for slot in slots if not (scored and slot == "concepts"))


def pooled_reads(sizes: PooledSizes, slots: tuple[str, ...]) -> frozenset[str]:
    """Say what reaches the slots of a captioner, the concepts' probabilities included."""
    scores = {"scores"} if sizes.concept_input == "probabilities" else set()
    return modalities(sizes, row_slots(sizes, slots)) | scores


class ConceptVector(nn.Module):
    """Gives a, of whichever kind; holds no parameters."""

    def __init__(self, sizes: PooledSizes) -> None:
        super().__init__()
        self.probabilities = sizes.concept_input == "probabilities"
        self.count = sizes.concepts

    def forward(self, fed: Fed, pictures: Pictures) -> Float[Tensor, "B A"]:
        """Pool the textual slot, or take the pictures' scores; raises DataError without."""
        if not self.probabilities:
            return mean_rows(fed.concepts)
        scores = pictures.concept_scores
        if scores is None or scores.shape[1] != self.count:
            given = "none" if scores is None else scores.shape[1]
            raise DataError(
                f"The captioner reads {self.count} concept probabilities; these pictures have "
                f"{given}. Use the extractor it was trained with, and keep its scores."
            )
        return scores
