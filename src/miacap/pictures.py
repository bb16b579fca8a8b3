"""Room: pictures. One batch of photos as numbers, and the only way to make one.

Offers `Pictures` (tensors and masks), `collate` (ranks concepts, maps them to caption
words, pads) and `count_unmapped`. May import the ground floor and torch, no other room.

Axis letters: B pictures, N regions, V raw region width, M concepts, A concept vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from miacap.errors import DataError, SettingsError
from miacap.wording import by_number, counted

__all__ = ["Pictures", "collate", "count_unmapped"]

# miacap.text.PAD, which this room may not import; a test holds the two equal.
_PAD = 0
_ALIGNED = 49  # the paper's k


@dataclass(frozen=True)
class Pictures:
    """One batch of pictures.

    Valid rows of a matrix come first; what a mask leaves out is zero (PAD in `concepts`).
    """

    regions: Float[Tensor, "B N V"]
    """Image features, one row a region; float32 from `collate`."""
    region_mask: Bool[Tensor, "B N"]
    """True where a region is real."""
    concepts: Int[Tensor, "B M"]
    """Caption-word ids, most probable first; M may be 0."""
    concept_mask: Bool[Tensor, "B M"]
    """True where a concept is real."""
    names: tuple[str, ...]
    """One id a picture."""
    concept_scores: Float[Tensor, "B A"] | None = None
    """Probabilities over the whole concept vocabulary."""
    boxes: Float[Tensor, "B N 4"] | None = None
    """x0 y0 x1 y1 of each region, relative to the photo (0 to 1)."""

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str) -> "Pictures":
        """Give the same batch on another device."""
        return Pictures(
            regions=self.regions.to(device),
            region_mask=self.region_mask.to(device),
            concepts=self.concepts.to(device),
            concept_mask=self.concept_mask.to(device),
            names=self.names,
            concept_scores=None if self.concept_scores is None else self.concept_scores.to(device),
            boxes=None if self.boxes is None else self.boxes.to(device),
        )

    def select(self, rows: Int[Tensor, " R"] | Sequence[int]) -> "Pictures":
        """Give the pictures with these indices, in this order; an index may come twice."""
        indices = torch.as_tensor(rows, dtype=torch.long, device=self.regions.device)
        return Pictures(
            regions=self.regions[indices],
            region_mask=self.region_mask[indices],
            concepts=self.concepts[indices],
            concept_mask=self.concept_mask[indices],
            names=tuple(self.names[index] for index in indices.tolist()),
            concept_scores=None if self.concept_scores is None else self.concept_scores[indices],
            boxes=None if self.boxes is None else self.boxes[indices],
        )


def collate(
    names: Sequence[str],
    regions: Sequence[Tensor],
    *,
    boxes: Sequence[Tensor] | None = None,
    scores: Sequence[Tensor] | None = None,
    concept_words: Int[Tensor, " A"] | None = None,
    rows: Literal["match", "aligned"] = "match",
    concepts: int | None = None,
    listed: bool = False,
    keep_scores: bool = True,
) -> Pictures:
    """Turn rows and concept scores into one batch.

    Args:
        names: B ids, for the batch and for messages.
        regions: a picture's k_i x V features, half or single precision; k_i may differ.
        boxes: a picture's k_i x 4 boxes, x0 y0 x1 y1 relative to the photo.
        scores: a picture's A concept probabilities; None gives a batch without concepts.
        concept_words: caption-word id of each of the A concepts; -1 where the concept is no
            caption word: such a concept is left out (`count_unmapped` counts them). None ranks
            nothing: the batch has the scores alone.
        rows: `match` gives each picture as many concepts as it has regions; `aligned`
            gives every picture `concepts` many, or all that can be ranked if fewer.
        concepts: how many, under `aligned` alone; 49 unless told.
        listed: the scores come from a list of words: a score of 0 means "not listed", and such
            a concept is never taken.
        keep_scores: leave the scores in the batch.

    Returns:
        Pictures with float32 regions; concepts by falling score, ties by concept index.

    Raises:
        DataError: nothing to collate, lengths or shapes that disagree, no rows, numbers that
            are not finite, or fewer rankable (or listed) concepts than `match` wants.
        SettingsError: `concepts` under `match`, or less than one.
    """
    if not names:
        raise DataError("No picture to collate: a batch needs at least one.")
    for what, given in (("regions", regions), ("boxes", boxes), ("scores", scores)):
        if given is not None and len(given) != len(names):
            raise DataError(f"{counted(len(names), 'picture')} but {what} of {len(given)}.")
    _check_regions(names, regions, boxes)
    counts = torch.tensor([len(matrix) for matrix in regions])
    features = _stack(regions)
    _check_finite(names, features, "regions")
    mask = torch.arange(features.shape[1]) < counts[:, None]
    if concepts is not None and (rows == "match" or concepts < 1):
        raise SettingsError(
            f"concepts={concepts} with rows={rows!r}: a number of concepts (at least 1) "
            "goes with rows='aligned'; 'match' takes as many as there are regions."
        )
    stacked = None if scores is None else _stack_scores(names, scores, concept_words)
    words = torch.zeros(len(names), 0, dtype=torch.long)
    word_mask = words.bool()
    if stacked is not None and concept_words is not None:
        wanted = counts if rows == "match" else torch.full_like(counts, concepts or _ALIGNED)
        words, word_mask = _rank(names, stacked, concept_words, wanted, rows, listed)
    return Pictures(
        regions=features,
        region_mask=mask,
        concepts=words,
        concept_mask=word_mask,
        names=tuple(names),
        concept_scores=stacked if keep_scores else None,
        boxes=None if boxes is None else _stack(boxes),
    )


def count_unmapped(concept_words: Int[Tensor, " A"]) -> int:
    """Count the concepts that are no caption words (-1), for the report."""
    return int((concept_words < 0).sum())


def _stack(matrices: Sequence[Tensor]) -> Float[Tensor, "B N V"]:
    # One copy: equal counts (the usual case) are stacked, others padded with zero rows.
    first = matrices[0].shape
    if all(matrix.shape == first for matrix in matrices):
        return torch.stack(list(matrices)).float()
    return pad_sequence(list(matrices), batch_first=True).float()


def _check_regions(
    names: Sequence[str], regions: Sequence[Tensor], boxes: Sequence[Tensor] | None
) -> None:
    for index, (name, matrix) in enumerate(zip(names, regions, strict=True)):
        if matrix.ndim != 2 or len(matrix) == 0:
            raise DataError(
                f"Picture {name!r}: regions are a matrix of at least one row, "
                f"not of shape {tuple(matrix.shape)}."
            )
        if matrix.shape[1] != regions[0].shape[1]:
            raise DataError(
                f"Picture {name!r}: regions are {matrix.shape[1]} wide, those of {names[0]!r} "
                f"{regions[0].shape[1]}; extract both with the same backbone."
            )
        if boxes is not None and boxes[index].shape != (len(matrix), 4):
            raise DataError(
                f"Picture {name!r}: boxes of shape {tuple(boxes[index].shape)} "
                f"for {counted(len(matrix), 'region')}; one row x0 y0 x1 y1 a region."
            )


def _check_finite(names: Sequence[str], numbers: Tensor, what: str) -> None:
    # A sum is not finite if any number is not; the exact search runs only then.
    if bool(numbers.sum().isfinite()):
        return
    bad = (~numbers.isfinite()).flatten(1).any(dim=1)
    if bool(bad.any()):
        name = names[int(bad.nonzero()[0])]
        raise DataError(f"Picture {name!r}: {what} hold numbers that are not finite; redo them.")


def _stack_scores(
    names: Sequence[str], scores: Sequence[Tensor], concept_words: Int[Tensor, " A"] | None
) -> Float[Tensor, "B A"]:
    length = len(scores[0]) if concept_words is None else len(concept_words)
    for name, vector in zip(names, scores, strict=True):
        if vector.shape != (length,):
            raise DataError(
                f"Picture {name!r}: concept scores of shape {tuple(vector.shape)} for "
                f"{counted(length, 'concept')}; they come from another extractor."
            )
    stacked = torch.stack(list(scores)).float()
    _check_finite(names, stacked, "concept scores")
    return stacked


def _rank(
    names: Sequence[str],
    scores: Float[Tensor, "B A"],
    concept_words: Int[Tensor, " A"],
    wanted: Int[Tensor, " B"],
    rows: Literal["match", "aligned"],
    listed: bool,
) -> tuple[Int[Tensor, "B M"], Bool[Tensor, "B M"]]:
    rankable = (concept_words >= 0).nonzero().squeeze(1)
    most = int(wanted.max())
    if rows == "match" and most > len(rankable):
        name = names[int(wanted.argmax())]
        raise DataError(
            f"Picture {name!r}: {counted(most, 'region')} but only "
            f"{counted(len(rankable), 'concept')} that "
            f"{by_number(len(rankable), 'is a caption word', 'are caption words')}; use more "
            "concepts, or rows='aligned', which lets the counts differ "
            "(of a training: --set sizes.rows=aligned --set concepts=10)."
        )
    if len(rankable) == 0:
        raise DataError("No concept is a caption word, so none can be ranked.")
    if listed:
        having = (scores[:, rankable] > 0).sum(1)
        _check_lists(names, having, wanted, rows)
        wanted = torch.minimum(wanted, having)
    # Sorting stably keeps ties in the order of their concept index.
    order = scores[:, rankable].sort(dim=1, descending=True, stable=True).indices[:, :most]
    mask = torch.arange(order.shape[1]) < wanted[:, None]
    words = concept_words[rankable].long()[order]
    return words.masked_fill(~mask, _PAD), mask


def _check_lists(
    names: Sequence[str],
    having: Int[Tensor, " B"],
    wanted: Int[Tensor, " B"],
    rows: Literal["match", "aligned"],
) -> None:
    short = having < (wanted if rows == "match" else 1)
    if not bool(short.any()):
        return
    index = int(short.nonzero()[0])
    if rows == "match":
        raise DataError(
            f"Picture {names[index]!r} lists "
            f"{counted(int(having[index]), 'caption word')} and has "
            f"{counted(int(wanted[index]), 'region')}; rows='aligned' lets the counts differ (of "
            "a training: "
            "--set sizes.rows=aligned), or bring longer lists."
        )
    raise DataError(f"Picture {names[index]!r} lists no word of the caption vocabulary.")
