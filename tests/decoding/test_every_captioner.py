"""Searches on our captioners: a score is what ``forward`` gives the words that were found."""

from typing import Any

import pytest
import torch

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures
from miacap.decoding import Found, beam, greedy, sample
from miacap.pictures import Pictures
from miacap.text.vocabulary import BOS, EOS


def built(name: str, source: str) -> Any:
    torch.manual_seed(2)
    own = {"layers": 2, "layer_heads": 2, "layer_inner": 6} if name == "transformer" else {}
    sizes = {"words": WORDS, "region_width": REGION_WIDTH, "width": 8, "heads": 2, "inner": 12}
    module = captioners.build(name, source, **sizes, **own).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def scored(module: Any, pictures: Pictures, place: int, found: Found) -> float:
    """log p of the caption by teacher forcing, its EOS included where it ended."""
    said = [*found.words, EOS] if found.ended else list(found.words)
    words = torch.tensor([BOS, *said[:-1]]).view(1, 1, -1)
    with torch.no_grad():
        logits = module.eval()(pictures.select([place]), words)[0, 0]
    return float(logits.log_softmax(-1).gather(1, torch.tensor(said)[:, None]).sum())


@pytest.mark.parametrize("name", captioners.names())
@pytest.mark.parametrize("source", ["plain", "combined"])
def test_scores_are_those_of_teacher_forcing(name: str, source: str) -> None:
    module, pictures = built(name, source), some_pictures(5)
    module.train()  # searches switch dropout off by themselves
    one = greedy(module, pictures, maximum=7)
    for place, rows in enumerate(
        zip(
            ([found] for found in one),
            beam(module, pictures, width=3, maximum=7, best=3),
            sample(module, pictures, hypotheses=2, maximum=7),
            strict=True,
        )
    ):
        for found in (found for row in rows for found in row):
            wanted = scored(module, pictures, place, found)
            assert found.log_probability == pytest.approx(wanted, abs=1e-9)
        best = [found.log_probability for found in rows[1]]
        assert best == sorted(best, reverse=True)
    assert [row[0].words for row in beam(module, pictures, width=1, maximum=7)] == [
        found.words for found in one
    ]
