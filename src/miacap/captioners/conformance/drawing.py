"""Pictures of unequal rows and captions of random words, the same for the same seed."""

import torch
from torch import Tensor

from miacap.pictures import Pictures, collate
from miacap.text.vocabulary import BOS

__all__ = ["CONCEPTS", "REGION_WIDTH", "WORDS", "some_pictures", "some_words"]

WORDS, REGION_WIDTH, CONCEPTS = 23, 6, 15


def some_pictures(count: int = 3, seed: int = 0, aligned: bool = False) -> Pictures:
    """Draw pictures of unequal rows; with `aligned` as many concepts each, whatever the rows."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [2 + (index * 2 + seed) % 4 for index in range(count)]
    return collate(
        [f"{seed}-{index}" for index in range(count)],
        [torch.randn(size, REGION_WIDTH, generator=generator) for size in sizes],
        scores=[torch.rand(CONCEPTS, generator=generator) for _ in sizes],
        concept_words=torch.arange(5, 5 + CONCEPTS),
        rows="aligned" if aligned else "match",
        concepts=4 if aligned else None,
    )


def some_words(pictures: int, captions: int = 2, length: int = 5, seed: int = 0) -> Tensor:
    """Draw captions that start with BOS: B x C x T."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(4, WORDS, (pictures, captions, length), generator=generator)
    words[:, :, 0] = BOS
    return words
