"""Every captioner learns a batch by heart, and says each caption because of its picture.

The captions start with the same words on different pictures, so that words alone cannot tell
them apart; where the pictures change places, so do the captions that greedy search finds.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from miacap import captioners
from miacap.decoding import greedy
from miacap.pictures import Pictures, collate
from miacap.text.vocabulary import BOS, EOS, PAD

WORDS, REGION_WIDTH, CONCEPTS = 20, 6, 11
# Equal first words; then words that differ; then an equal word after different ones.
CAPTIONS = [(4, 5, 6, 9, 7), (4, 5, 6, 10, 7, 11), (4, 5, 6, 9, 8)]
SIZES = {"width": 16, "heads": 2, "inner": 16, "dropout": 0.0, "refiner_dropout": 0.0}
OWN = {
    "up-down": {"scorer": 8},
    "spatial-attention": {"scorer": 8},
    "transformer": {"layers": 1, "layer_heads": 2, "layer_inner": 16, "layer_dropout": 0.0},
}
STEPS, RATE = 800, 0.005


def pictures() -> Pictures:
    generator = torch.Generator().manual_seed(4)
    return collate(
        [str(place) for place in range(len(CAPTIONS))],
        [torch.randn(size, REGION_WIDTH, generator=generator) for size in (3, 4, 2)],
        scores=[torch.rand(CONCEPTS, generator=generator) for _ in CAPTIONS],
        concept_words=torch.arange(9, 9 + CONCEPTS),
    )


def taught() -> tuple[Tensor, Tensor]:
    """Words and targets, B x 1 x T."""
    length = max(map(len, CAPTIONS)) + 1
    words = torch.full((len(CAPTIONS), 1, length), PAD)
    targets = words.clone()
    for row, caption in enumerate(CAPTIONS):
        words[row, 0, : len(caption) + 1] = torch.tensor([BOS, *caption])
        targets[row, 0, : len(caption) + 1] = torch.tensor([*caption, EOS])
    return words, targets


@pytest.mark.parametrize(
    ("name", "source"),
    [(name, source) for name in captioners.names() for source in captioners.sources(name)],
)
def test_a_batch_is_learned_by_heart(name: str, source: str) -> None:
    torch.manual_seed(0)
    sizes = {"words": WORDS, "region_width": REGION_WIDTH, **SIZES, **OWN.get(name, {})}
    module = captioners.build(name, source, **sizes)
    seen = pictures()
    learn(module, seen)
    assert [found.words for found in greedy(module, seen)] == CAPTIONS
    places = [2, 0, 1]
    swapped = greedy(module, seen.select(places))
    assert [found.words for found in swapped] == [CAPTIONS[place] for place in places]
    assert all(found.ended for found in swapped)


def learn(module: nn.Module, seen: Pictures) -> int:
    """Teach until every word is the likeliest after those before it; give the steps."""
    words, targets = taught()
    real = targets != PAD
    optimiser = torch.optim.Adam(module.parameters(), lr=RATE, fused=True)
    for step in range(STEPS):
        logits = module(seen, words)[real]
        if torch.equal(logits.argmax(dim=-1), targets[real]):
            return step
        optimiser.zero_grad()
        cross_entropy(logits, targets[real]).backward()
        optimiser.step()
    return STEPS
