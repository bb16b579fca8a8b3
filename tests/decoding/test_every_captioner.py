"""Searches on our captioners: a score is what `forward` gives the words that were found."""

from typing import Any

import pytest
import torch

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures
from miacap.decoding import (
    Hypothesis,
    MinimumLength,
    Temperature,
    TopP,
    beam,
    greedy,
    policy_log_probabilities,
    sample,
)
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


def scored(module: Any, pictures: Pictures, index: int, hypothesis: Hypothesis) -> float:
    """log p of the caption by teacher forcing, its EOS included where it ended."""
    said = [*hypothesis.words, EOS] if hypothesis.ended else list(hypothesis.words)
    words = torch.tensor([BOS, *said[:-1]]).view(1, 1, -1)
    with torch.no_grad():
        logits = module.eval()(pictures.select([index]), words)[0, 0]
    return float(logits.log_softmax(-1).gather(1, torch.tensor(said)[:, None]).sum())


@pytest.mark.parametrize("name", captioners.names())
@pytest.mark.parametrize("source", ["plain", "combined"])
def test_scores_are_those_of_teacher_forcing(name: str, source: str) -> None:
    module, pictures = built(name, source), some_pictures(5)
    module.train()  # searches switch dropout off by themselves
    one = greedy(module, pictures, maximum=7)
    several = beam(module, pictures, width=3, maximum=7, best=3)
    for index, hypotheses in enumerate(several):
        for hypothesis in (one[index], *hypotheses):
            wanted = scored(module, pictures, index, hypothesis)
            assert hypothesis.log_probability == pytest.approx(wanted, abs=1e-9)
        best = [hypothesis.log_probability for hypothesis in hypotheses]
        assert best == sorted(best, reverse=True)
    assert [row[0].words for row in beam(module, pictures, width=1, maximum=7)] == [
        hypothesis.words for hypothesis in one
    ]


@pytest.mark.parametrize("name", captioners.names())
def test_samples_have_the_log_probabilities_of_the_policy(name: str) -> None:
    module, pictures = built(name, "combined"), some_pictures(5)
    rules = (MinimumLength(2), Temperature(0.7), TopP(0.9))
    drawn = sample(module, pictures, hypotheses=3, maximum=7, rules=rules)
    first = torch.full_like(drawn.words[:, :, :1], BOS)
    logits = module.eval()(pictures, torch.cat([first, drawn.words[:, :, :-1]], dim=2))
    gains = policy_log_probabilities(logits, drawn.words, rules)
    assert torch.allclose(gains, drawn.log_probabilities, atol=1e-9)
    gains.sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()
    assert any(parameter.grad is not None for parameter in module.parameters())
