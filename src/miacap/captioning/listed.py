"""Concepts that came as lists: pictures have unequal numbers of them, and no word is made up.

``collate`` ranks every concept of the vocabulary. Of lists only those above 0 were listed; the
others are masked here, so that a short list stays short and is never filled with other words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from miacap.data.batches import Batch, Batches
from miacap.data.store import FeatureStore
from miacap.errors import DataError
from miacap.pictures import Pictures
from miacap.text import PAD

__all__ = ["ListedBatches", "only_listed", "require_lists"]


class ListedBatches(Batches):
    """Batches whose concepts are those that were listed, and no others; made to keep scores."""

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """Give the batches of an epoch, as ``Batches`` does."""
        for batch in super().epoch(number, skip):
            yield self._listed(batch)

    def ordered(self) -> Iterator[Batch]:
        """Give the batches in the order of ``ids``."""
        for batch in super().ordered():
            yield self._listed(batch)

    def _listed(self, batch: Batch) -> Batch:
        assert self._concept_words is not None
        return replace(batch, pictures=only_listed(batch.pictures, self._concept_words))


def only_listed(pictures: Pictures, concept_words: Int[Tensor, " A"]) -> Pictures:
    """Mask the concepts that a picture's list does not have.

    Args:
        pictures: from ``collate``, with their scores: above 0 where a word is listed.
        concept_words: caption-word id of each concept, -1 where it is none.
    """
    assert pictures.concept_scores is not None
    listed = ((pictures.concept_scores > 0) & (concept_words >= 0)).sum(1)
    # Listed words score above all others, so they are the first of each row.
    mask = pictures.concept_mask & (torch.arange(pictures.concepts.shape[1]) < listed[:, None])
    return replace(pictures, concepts=pictures.concepts.masked_fill(~mask, PAD), concept_mask=mask)


def require_lists(
    concepts: FeatureStore,
    concept_words: Int[Tensor, " A"],
    ids: Sequence[str],
    regions: FeatureStore,
    rows: Literal["match", "aligned"],
) -> None:
    """See that every picture lists as many caption words as are wanted of it.

    Raises:
        DataError: some list fewer than they have regions (``match``), or none (``aligned``);
            with their number, the shortest and what to do.
    """
    mapped = concept_words >= 0
    short: dict[str, tuple[int, int]] = {}
    for name in ids:
        found = int(((concepts.rows(name) > 0) & mapped).sum())
        wanted = len(regions.rows(name)) if rows == "match" else 1
        if found < wanted:
            short[name] = (found, wanted)
    if not short:
        return
    name, (found, wanted) = min(short.items(), key=lambda item: item[1])
    if rows == "match":
        raise DataError(
            f"{concepts.folder}: {len(short)} of {len(ids)} pictures list fewer caption words "
            f"than they have regions, the shortest is {name!r}: {found} words, {wanted} regions. "
            "Train with --set sizes.rows=aligned, which lets the counts differ, or bring longer "
            "lists."
        )
    raise DataError(
        f"{concepts.folder}: {len(short)} of {len(ids)} pictures list no word of the caption "
        f"vocabulary, the first is {name!r}. Lower minimum_count, or read the lists again with "
        "the minimum_count that the captioner has."
    )
