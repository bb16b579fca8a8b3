"""What hiding a region does: the same caption, read again without one region at a time.

The region's row is taken out of the picture; it is not painted over. The concepts stay those of
the whole photo. A captioner that pairs region i with concept i wants as many of each: there the
least probable concept leaves with the region, and the last region takes over the partner that
became free, so that all other pairs stay as they were.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from miacap.pictures import Pictures

__all__ = ["hidden", "without_region", "word_log_probabilities"]

_AT_ONCE = 16


def without_region(pictures: Pictures, index: int, paired: bool = False) -> Pictures:
    """Take one region out of a picture.

    Args:
        pictures: a batch of one.
        index: of the region; there is at least one more.
        paired: whether there are as many concepts as regions, and have to be.
    """
    count = pictures.regions.shape[1]
    assert len(pictures) == 1 and 0 <= index < count and count > 1
    kept = [row for row in range(count) if row != index]
    if paired:
        # The last region steps into the gap; the last concept is the least probable.
        kept = list(range(count - 1))
        if index < count - 1:
            kept[index] = count - 1
    concepts = count - 1 if paired else pictures.concepts.shape[1]
    return replace(
        pictures,
        regions=pictures.regions[:, kept],
        region_mask=pictures.region_mask[:, kept],
        concepts=pictures.concepts[:, :concepts],
        concept_mask=pictures.concept_mask[:, :concepts],
        boxes=None if pictures.boxes is None else pictures.boxes[:, kept],
    )


def hidden(
    captioner: Any,
    pictures: Pictures,
    words: Sequence[int],
    targets: Sequence[int],
    paired: bool,
    check: Callable[[], None],
) -> Float[Tensor, "R T"]:
    """Give the log-probability of each word of a caption without each of the regions.

    Args:
        captioner: any that fulfils the contract, in eval mode.
        pictures: a batch of one, where the captioner is.
        words: ids that are read, BOS first.
        targets: ids that are predicted.
        paired: see `without_region`.
        check: called before each batch of regions; what it raises ends the work.
    """
    parts = []
    for first in range(0, pictures.regions.shape[1], _AT_ONCE):
        check()
        last = min(first + _AT_ONCE, pictures.regions.shape[1])
        each = [without_region(pictures, index, paired) for index in range(first, last)]
        batch = _joined(each)
        read = torch.tensor([[list(words)]], device=batch.regions.device)
        logits = captioner(batch, read.expand(len(each), -1, -1))
        parts.append(word_log_probabilities(logits[:, 0], targets))
    return torch.cat(parts)


def word_log_probabilities(
    logits: Float[Tensor, "B T W"], targets: Sequence[int]
) -> Float[Tensor, "B T"]:
    """Give the log-probability of each target, in single precision at least."""
    wanted: Int[Tensor, "B T"] = torch.tensor([list(targets)], device=logits.device)
    logs = logits if logits.dtype == torch.float64 else logits.float()
    chosen = logs.log_softmax(-1).gather(2, wanted.expand(len(logits), -1).unsqueeze(2))
    return chosen.squeeze(2)


def _joined(each: Sequence[Pictures]) -> Pictures:
    def joined(name: str) -> Any:
        tensors = [getattr(one, name) for one in each]
        return None if tensors[0] is None else torch.cat(tensors)

    return Pictures(
        regions=joined("regions"),
        region_mask=joined("region_mask"),
        concepts=joined("concepts"),
        concept_mask=joined("concept_mask"),
        names=tuple(name for one in each for name in one.names),
        concept_scores=joined("concept_scores"),
        boxes=joined("boxes"),
    )
