"""Up-Down on every kind of rows that it is reported with: grids, and a detector's boxes."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from miacap import captioners
from miacap.captioners.conformance import some_words
from miacap.decoding import beam
from miacap.pictures import Pictures, collate

WIDTH, CONCEPTS, WORDS = 6, 120, 130
COUNTS = {
    "cells of 7 x 7": (49, 49, 49),
    "cells of 10 x 10": (100, 100, 100),
    "36 boxes": (36, 36, 36),
    "10 to 100 boxes": (10, 100, 37),
}


def drawn(counts: Sequence[int], **rows: Any) -> Pictures:
    generator = torch.Generator().manual_seed(1)
    return collate(
        [str(place) for place in range(len(counts))],
        [torch.randn(count, WIDTH, generator=generator).half() for count in counts],
        scores=[torch.rand(CONCEPTS, generator=generator) for _ in counts],
        concept_words=torch.arange(5, 5 + CONCEPTS),
        **rows,
    )


def up_down(source: str, **sizes: Any) -> Any:
    torch.manual_seed(2)
    sizes = {"words": WORDS, "region_width": WIDTH, "width": 8, "heads": 2, "inner": 8} | sizes
    return captioners.build("up-down", source, scorer=5, **sizes).double().eval()


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("source", captioners.sources("up-down"))
def test_rows_of_every_kind(source: str, counts: tuple[int, ...]) -> None:
    module, pictures, words = up_down(source), drawn(counts), some_words(3)
    assert pictures.concept_mask.sum(1).tolist() == list(counts)  # concepts follow regions
    logits = module(pictures, words)
    memory = module.encode(pictures)
    state, stepped = module.start(memory, 2), []
    for time in range(words.shape[2]):
        found, state = module.step(memory, state, words[:, :, time])
        stepped.append(found)
    torch.testing.assert_close(logits, torch.stack(stepped, dim=2), atol=1e-10, rtol=0.0)
    for place, count in enumerate(counts):
        cut = pictures.select([place])
        cut = Pictures(
            cut.regions[:, :count],
            cut.region_mask[:, :count],
            cut.concepts[:, :count],
            cut.concept_mask[:, :count],
            cut.names,
        )
        alone = module(cut, words[place : place + 1])
        torch.testing.assert_close(alone[0], logits[place], atol=1e-10, rtol=0.0)
    assert all(row[0].words or row[0].ended for row in beam(module, pictures, width=2, maximum=4))


@pytest.mark.parametrize("source", ["regions", "combined"])
def test_boxes_beside_another_number_of_concepts(source: str) -> None:
    """36 boxes and 49 concepts: what is attended to has a row a concept."""
    module, words = up_down(source, rows="aligned"), some_words(3)
    pictures = drawn((36, 12, 60), rows="aligned", concepts=49)
    logits, trace = module(pictures, words, trace=True)
    assert logits.isfinite().all()
    assert trace.attentions["rows"].weights.shape[-1] == 49
    assert trace.refiner[0].weights.shape[-2:] == (49, 60)
