"""Every captioner and source against plain loops from the equations."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miacap import captioners
from miacap.captioners import registry
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.pictures import Pictures

_SPEC = importlib.util.spec_from_file_location(
    "plain_loops", Path(__file__).with_name("plain_loops.py")
)
assert _SPEC is not None and _SPEC.loader is not None
plain_loops = importlib.util.module_from_spec(_SPEC)
sys.modules["plain_loops"] = plain_loops
_SPEC.loader.exec_module(plain_loops)

SIZES: dict[str, Any] = {"width": 8, "heads": 2, "inner": 12}
OWN = {"transformer": {"layers": 2, "layer_heads": 2, "layer_inner": 6}}


def shaken(name: str, source: str, **sizes: Any) -> Any:
    torch.manual_seed(4)
    every = SIZES | OWN.get(name, {}) | sizes
    module = captioners.build(name, source, words=WORDS, region_width=REGION_WIDTH, **every)
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return module


def slots(module: Any, source: str, pictures: Pictures, place: int) -> tuple[Tensor, Tensor]:
    """S_V and S_T of one picture, by docs/captioners.md's sources; the refiner has its own test."""
    feed, count = module.feed, int(pictures.region_mask[place].sum())
    words = pictures.concepts[place][pictures.concept_mask[place]]
    textual = module.embedding.weight[words]
    if feed.uses_concepts and feed.lift is not None:
        textual = textual @ feed.lift.weight.T + feed.lift.bias
    visual = torch.zeros(1, textual.shape[1]).double()
    if feed.uses_regions:
        rows = pictures.regions[place, :count].double()
        visual = (rows @ feed.project.weight.T + feed.project.bias).clamp(min=0)
    if source in ("regions", "concepts", "combined", "both"):
        refined = feed.mutual(visual[None], textual[None])
        star = (refined.regions[0], refined.concepts[0])
        if source == "combined":
            return refined.combined[0], refined.combined[0]
        if source == "both" and len(feed.slots) == 1:
            return torch.cat(star), star[1]
        visual = star[0] if source in ("regions", "both") else visual
        textual = star[1] if source in ("concepts", "both") else textual
    if source == "concatenated":
        visual = torch.cat([visual, textual])
    if source == "normed":
        norm = feed.norm
        visual = nn.functional.layer_norm(visual, (8,), norm.weight, norm.bias)
    return visual, textual


def compare(name: str, source: str, aligned: bool, **sizes: Any) -> None:
    module = shaken(name, source, **sizes)
    pictures, words = some_pictures(aligned=aligned), some_words(3)
    with torch.no_grad():
        logits = module(pictures, words)
    parameters = {key: value.tolist() for key, value in module.state_dict().items()}
    for place in range(3):
        visual, textual = slots(module, source, pictures, place)
        for caption in range(2):
            expected = plain_loops.LOOPS[name](
                parameters,
                module.sizes,
                visual.tolist(),
                textual.tolist(),
                words[place, caption].tolist(),
            )
            wanted = torch.tensor(expected, dtype=torch.float64)
            torch.testing.assert_close(logits[place, caption], wanted, atol=1e-9, rtol=0.0)


EVERY = [(name, source) for name in plain_loops.LOOPS for source in captioners.sources(name)]


def test_there_are_loops_for_all() -> None:
    ours = set(registry._OURS)
    assert set(plain_loops.LOOPS) == ours, "every captioner has its loops in plain_loops.py"


@pytest.mark.parametrize(("name", "source"), EVERY)
def test_forward_equals_plain_loops(name: str, source: str) -> None:
    compare(name, source, aligned=False)


@pytest.mark.parametrize(("name", "source"), EVERY)
def test_forward_equals_plain_loops_with_unequal_rows(name: str, source: str) -> None:
    narrow = {} if name in ("att-fcn", "concept-attention") else {"word_width": 6}
    compare(name, source, aligned=True, rows="aligned", **narrow)
