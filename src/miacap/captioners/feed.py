"""What a captioner is fed: regions and concepts, plain, refined, or as a control.

    I_0 = ReLU(W_a F + b)              [eq:project-regions]   F: rows of the backbone
    T_0 = E[concepts]                  [eq:embed-concepts]    E: the captioner's own word table
    I*, T*, M = MIA(I_0, T_0)          miacap.refiner
    mean(X) = sum_i m_i x_i / sum_i m_i  [eq:mean]            over valid rows

    source        visual slot   textual slot
    plain         I_0           T_0             the paper's Baseline
    regions       I*            T_0             w/ I*
    concepts      I_0           T*              w/ T*
    combined      M             M               w/ MIA
    both          I*            T*              control: no sum; side by side in a single slot
    concatenated  [I_0 ; T_0]   -               control: no refiner; in a single slot
    normed        LN(I_0)       T_0             control: one LayerNorm, nothing else

Where e differs from d_h, one linear map follows E. A captioner sees its own slots alone; what
does not reach them, directly or as a guide, need not be there (`modalities`).
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from miacap.captioners.contract import Over
from miacap.captioners.records import MemoryRecord
from miacap.captioners.settings import REFINED, FedSizes, check_source
from miacap.errors import DataError
from miacap.pictures import Pictures
from miacap.refiner import (
    CONCEPTS_FIRST,
    REGIONS_FIRST,
    SELF_ATTENTION,
    MutualIterativeAttention,
    Steps,
    StepTrace,
    origins,
)

__all__ = ["Fed", "Feed", "Slot", "mean_rows", "modalities", "raw_rows"]

_STREAMS = ("regions", "concepts")


@dataclass(frozen=True)
class Slot(MemoryRecord):
    """Rows that a captioner reads; padded ones are masked."""

    rows: Float[Tensor, "B R D"]
    mask: Bool[Tensor, "B R"]


@dataclass(frozen=True)
class Fed:
    """What the slots of a captioner hold; a slot that it does not have is None."""

    visual: Slot | None
    textual: Slot | None
    trace: tuple[StepTrace, ...] = ()
    projected: Slot | None = None
    """I_0, whatever the source, where regions are read at all."""
    first_kind: int = 0
    """Rows of the first kind, where two kinds stand side by side in one slot."""

    @property
    def regions(self) -> Slot:
        """The visual slot of a captioner that has one."""
        assert self.visual is not None
        return self.visual

    @property
    def concepts(self) -> Slot:
        """The textual slot of a captioner that has one."""
        assert self.textual is not None
        return self.textual


def mean_rows(slot: Slot) -> Float[Tensor, "B D"]:
    """Average the valid rows ([eq:mean]); the pooled vector of every source."""
    valid = slot.mask.unsqueeze(-1)
    return slot.rows.masked_fill(~valid, 0.0).sum(dim=1) / valid.sum(dim=1)


def raw_rows(pictures: Pictures, width: int) -> Float[Tensor, "B N V"]:
    """Give the backbone's rows, padding cleared: what it holds must not matter.

    Raises:
        DataError: they are not `width` wide.
    """
    given = pictures.regions.shape[-1]
    if given != width:
        raise DataError(
            f"Regions are {given} wide, but the captioner was built for region_width={width}; "
            "use the backbone it was trained with."
        )
    return pictures.regions.masked_fill(~pictures.region_mask.unsqueeze(-1), 0.0)


class Feed(nn.Module):
    """Projects, embeds and, where the source says so, refines.

    Args:
        sizes: of the captioner.
        slots: those that the captioner has: "regions", "concepts" or both.
        sources: what it can be fed.

    Raises:
        SettingsError: the source is none of `sources`.
        ValueError: the refiner's sizes do not fit.
    """

    def __init__(self, sizes: FedSizes, slots: tuple[str, ...], sources: tuple[str, ...]) -> None:
        super().__init__()
        check_source(sizes.name, sizes.source, sources)
        self.source = sizes.source
        self.slots = slots
        self.reads = modalities(sizes, slots)
        everything = self.source in (*REFINED, "concatenated")
        # A refiner's other stream keeps its parameters where it says nothing, frozen.
        self.uses_regions = everything or "regions" in slots
        self.uses_concepts = everything or "concepts" in slots
        self.dropout = nn.Dropout(sizes.dropout_of_regions)
        if self.uses_regions:
            self.project = nn.Linear(sizes.region_width, sizes.width)
        self.lift: nn.Linear | None = None
        if self.uses_concepts and sizes.embedding_width != sizes.width:
            self.lift = nn.Linear(sizes.embedding_width, sizes.width)
        if self.source == "normed":
            self.norm = nn.LayerNorm(sizes.width)
        if self.source in REFINED:
            self.mutual = _refiner(sizes)
            self._freeze_unused()

    def over(self, slot: str) -> Over:
        """Say what the rows of a slot ("regions" or "concepts") stand for."""
        if self.source == "combined":
            return "pairs"
        if self.source in ("both", "concatenated") and len(self.slots) == 1:
            return "both"
        if self.source in ("both", slot):  # refined: perhaps on the rows of its guide
            slot = self.mutual.refiner.order(slot)
        return "regions" if slot == "regions" else "concepts"

    def forward(self, pictures: Pictures, table: Float[Tensor, "W E"], trace: bool = False) -> Fed:
        """Fill the slots.

        Args:
            pictures: the batch.
            table: E, the captioner's word table.
            trace: whether to return the refiner's attention.

        Raises:
            DataError: the source reads concepts and the pictures have none, or the regions
                are not as wide as the captioner was built for.
            ValueError: unequal rows where the refiner was built for equal ones.
        """
        projected = self._regions(pictures) if self.uses_regions else None
        regions = projected
        concepts = self._concepts(pictures, table) if "concepts" in self.reads else None
        if self.source == "normed":
            assert regions is not None
            regions = Slot(self.norm(regions.rows), regions.mask)
        steps: tuple[StepTrace, ...] = ()
        if self.source in REFINED:
            regions, concepts, steps = self._refined(regions, concepts, trace)
        first_kind = 0
        if self.source in ("both", "concatenated") and len(self.slots) == 1:
            assert regions is not None and concepts is not None
            first_kind = regions.rows.shape[1]
            regions = Slot(
                torch.cat([regions.rows, concepts.rows], dim=1),
                torch.cat([regions.mask, concepts.mask], dim=1),
            )
        return Fed(
            visual=regions if "regions" in self.slots else None,
            textual=concepts if "concepts" in self.slots else None,
            trace=steps,
            projected=projected,
            first_kind=first_kind,
        )

    def _regions(self, pictures: Pictures) -> Slot:
        rows = raw_rows(pictures, self.project.in_features)
        rows = self.dropout(rows.to(self.project.weight.dtype))
        return Slot(torch.relu(self.project(rows)), pictures.region_mask)

    def _concepts(self, pictures: Pictures, table: Tensor) -> Slot:
        if pictures.concepts.shape[1] == 0:
            raise DataError(
                f"The source {self.source!r} reads concepts, but these pictures have none: "
                "give concept scores, or feed the captioner 'plain' regions."
            )
        rows = nn.functional.embedding(pictures.concepts, table)
        return Slot(rows if self.lift is None else self.lift(rows), pictures.concept_mask)

    def _refined(
        self, regions: Slot | None, concepts: Slot | None, trace: bool
    ) -> tuple[Slot | None, Slot | None, tuple[StepTrace, ...]]:
        slots = {"regions": regions, "concepts": concepts}
        read = {name: slot for name, slot in slots.items() if slot and name in self.reads}
        streams = {name: slot.rows for name, slot in read.items()}
        masks = {name: slot.mask for name, slot in read.items()}
        if self.source == "combined":
            refined = self.mutual(*streams.values(), *masks.values(), trace=trace)
            assert refined.combined is not None  # FedSizes refuses rows that never meet
            pairs = Slot(refined.combined, refined.mask)
            return pairs, pairs, refined.trace
        wanted = _wanted(self.source)
        result = self.mutual.refiner(streams, masks, wanted=wanted, trace=trace)
        slots |= {name: Slot(result.features[name], result.masks[name]) for name in wanted}
        return slots["regions"], slots["concepts"], result.trace

    def _freeze_unused(self) -> None:
        # Data-parallel wrappers wait for a gradient of whatever could have one; what nothing on
        # the way to this source reads keeps its place among the parameters, frozen.
        idle = self.mutual.refiner.unused(_wanted(self.source))
        if self.source != "combined":
            idle += self.mutual.norm.parameters()
        # A stream that guides nobody says nothing to a captioner of the other.
        if "regions" not in self.reads:
            idle += self.project.parameters()
        if "concepts" not in self.reads and self.lift is not None:
            idle += self.lift.parameters()
        for parameter in idle:
            parameter.requires_grad_(False)


def modalities(sizes: FedSizes, slots: Collection[str]) -> frozenset[str]:
    """Say which of "regions" and "concepts" reach the slots of a captioner.

    Args:
        sizes: of the captioner.
        slots: those that it has: "regions", "concepts", both or none.
    """
    if sizes.source == "concatenated":
        return frozenset(_STREAMS)
    if sizes.source not in REFINED:
        return frozenset(slots)
    return frozenset(origins(_steps(sizes), sizes.iterations, _wanted(sizes.source))) | set(slots)


def _wanted(source: str) -> tuple[str, ...]:
    return (source,) if source in _STREAMS else _STREAMS


def _steps(sizes: FedSizes) -> Steps:
    if sizes.attention == "self":
        return SELF_ATTENTION
    return CONCEPTS_FIRST if sizes.order == "concepts-first" else REGIONS_FIRST


def _refiner(sizes: FedSizes) -> MutualIterativeAttention:
    return MutualIterativeAttention(
        sizes.width,
        sizes.heads,
        sizes.inner,
        sizes.iterations,
        sizes.preset,
        steps=_steps(sizes),
        dropout=sizes.refiner_dropout,
        rows=sizes.rows,
        residual=sizes.residual,
    )
