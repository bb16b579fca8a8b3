"""Batches: pictures and their captions, joined by name, in an order that can be repeated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from miacap.errors import DataError
from miacap.parts import WHOLE, Part
from miacap.pictures import Pictures
from miacap.text.vocabulary import BOS, EOS, PAD
from miacap.wording import part

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True)
class Batch:
    """Some pictures and what is to be said about them.

    `targets[..., t]` is the word after `words[..., t]`: words start with BOS, targets end with
    EOS, except where a caption was cut. PAD fills the rest, and whole rows where a picture has
    fewer captions than another. Without captions C = T = 0.
    """

    pictures: Pictures
    words: Int[Tensor, "B C T"]
    targets: Int[Tensor, "B C T"]


class Batches:
    """Batches of pictures, in a drawn or in the given order.

    Args:
        ids: the pictures, each once.
        pictures: gives some of them as one batch, in the order of the names that it gets
            (`captioning.inputs` has what does).
        captions: word ids of each picture's captions, without BOS and EOS; None gives
            batches without captions. Captions without a word are passed over.
        batch_size: pictures a batch; the last one may be smaller.
        seed: of the order.
        maximum: captions are cut to so many words; a cut one has no EOS to learn.

    Raises:
        DataError: a picture is absent from the captions or comes twice, or there is none.
    """

    def __init__(
        self,
        ids: Sequence[str],
        pictures: Callable[[Sequence[str]], Pictures],
        *,
        captions: Mapping[str, list[list[int]]] | None = None,
        batch_size: int = 16,
        seed: int = 0,
        maximum: int = 20,
    ) -> None:
        self.ids = tuple(ids)
        self.batch_size, self.seed = batch_size, seed
        self._pictures = pictures
        self._check(captions)
        self._words, self._targets = _padded(self.ids, captions, maximum)

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.ids) // self.batch_size)

    def epoch(self, number: int, skip: int = 0, part: Part = WHOLE) -> Iterator[Batch | None]:
        """Give each picture once, in the order drawn for this seed and epoch.

        Args:
            number: of the epoch, from 0.
            skip: leave out so many batches at the start, unread.
            part: give this part of every batch; None where a batch has fewer pictures than parts.
        """
        order = np.random.default_rng((self.seed, number)).permutation(len(self.ids)).tolist()
        for indices in self._grouped(order, skip):
            share = list(part.of(indices))
            yield self.of(share) if share else None

    def ordered(self) -> Iterator[Batch]:
        """Give each picture once, in the order of `ids`."""
        for indices in self._grouped(list(range(len(self.ids))), 0):
            yield self.of(indices)

    def _grouped(self, order: list[int], skip: int) -> Iterator[list[int]]:
        for start in range(skip * self.batch_size, len(order), self.batch_size):
            yield order[start : start + self.batch_size]

    def of(self, indices: list[int]) -> Batch:
        """Give the pictures with these indices in `ids` as one batch."""
        pictures = self._pictures([self.ids[index] for index in indices])
        rows = torch.tensor(indices)
        words, targets = self._words[rows], self._targets[rows]
        # Trimmed to the longest caption and the most captions that this batch has.
        used = targets != PAD
        captions = int(used.any(2).sum(1).max()) if used.numel() else 0
        length = int(used.any(1).sum(1).max()) if used.numel() else 0
        return Batch(
            pictures,
            words[:, :captions, :length].long(),
            targets[:, :captions, :length].long(),
        )

    def _check(self, captions: Mapping[str, list[list[int]]] | None) -> None:
        if not self.ids:
            raise DataError("No pictures to make batches of.")
        if len(set(self.ids)) != len(self.ids):
            raise DataError("A picture comes twice among the ids of these batches.")
        if self.batch_size < 1:
            raise DataError(f"A batch has at least one picture, not {self.batch_size}.")
        absent = [id for id in self.ids if captions is not None and id not in captions]
        if absent:
            raise DataError(
                f"{part(len(absent), len(self.ids), 'picture', 'has', 'have')} no captions, "
                "the first: "
                f"{', '.join(repr(id) for id in absent[:3])}; leave them out of training."
            )


def _padded(
    ids: Sequence[str], captions: Mapping[str, list[list[int]]] | None, maximum: int
) -> tuple[Int[Tensor, "P C T"], Int[Tensor, "P C T"]]:
    """Lay out all captions once; a batch is then a selection of rows."""
    spoken = [[c for c in captions[id] if c] if captions is not None else [] for id in ids]
    most = max(map(len, spoken))
    longest = max((min(len(c), maximum) for group in spoken for c in group), default=-1) + 1
    words = np.full((len(ids), most, longest), PAD, dtype=np.int32)
    targets = words.copy()
    for index, group in enumerate(spoken):
        for row, caption in enumerate(group):
            kept = caption[:maximum]
            ending = kept if len(caption) > maximum else [*kept, EOS]
            targets[index, row, : len(ending)] = ending
            words[index, row, : len(ending)] = [BOS, *kept][: len(ending)]
    return torch.from_numpy(words), torch.from_numpy(targets)
