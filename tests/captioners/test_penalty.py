"""ATT-FCN's regularisers: the equation, its slopes, and how it joins the training loss."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miacap import captioners
from miacap.captioners import Attention, Trace
from miacap.captioners.att_fcn import AttFcn, penalty
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.captioning.cross_entropy import CrossEntropyTask
from miacap.data.batches import Batch
from miacap.errors import SettingsError
from miacap.runs import CrossEntropy, RunSettings
from miacap.settings import from_json, override, to_json
from miacap.text.vocabulary import EOS, PAD

TINY: dict[str, Any] = {"words": WORDS, "region_width": REGION_WIDTH, "width": 8}


def built(source: str = "plain", **sizes: Any) -> Any:
    torch.manual_seed(0)
    module = captioners.build("att-fcn", source, **(TINY | {"heads": 2, "inner": 8} | sizes))
    with torch.no_grad():  # attentions far from uniform
        for name in ("input_key", "output_key"):
            getattr(module, name).weight.normal_()
    return module.eval()


def by_hand(shares: list[list[float]], p: float = 2.0, q: float = 0.5, eps: float = 1e-6) -> float:
    """g(A) of You et al. 2016 for one caption: shares[t][i] over its real words and concepts."""
    spread = sum(sum(column) ** p for column in zip(*shares, strict=True)) ** (1 / p)
    sharp = sum(sum((share + eps) ** q for share in row) ** (1 / q) for row in shares)
    return spread + sharp


def a_batch() -> Batch:
    """Captions of unequal length; the third picture has one caption where others have two."""
    pictures, words = some_pictures(), some_words(3)
    targets = torch.cat([words[:, :, 1:], torch.full((3, 2, 1), EOS)], dim=2)
    targets[0, 1, 3:] = PAD
    targets[2, 1] = PAD
    words = words.masked_fill(targets == PAD, PAD)
    return Batch(pictures, words, targets)


def no_scores(module: nn.Module) -> Mapping[str, float]:
    raise AssertionError("nothing is evaluated here")


def task(module: nn.Module, weight: float) -> CrossEntropyTask:
    batches: Any = None
    objective = CrossEntropy(regulariser=weight)
    return CrossEntropyTask(module, batches, no_scores, objective, AttFcn.regulariser)


@pytest.mark.parametrize("source", ["plain", "combined", "both"])
def test_the_penalty_is_the_equation_over_real_words_and_concepts(source: str) -> None:
    module, batch = built(source).double(), a_batch()
    _, trace = module(batch.pictures, batch.words, trace=True)
    found = penalty(trace, batch.targets != PAD)
    for b in range(3):
        concepts = int(batch.pictures.concept_mask[b].sum())
        for c in range(2):
            length = int((batch.targets[b, c] != PAD).sum())
            wanted = 0.0
            for attention in trace.attentions.values():
                shares = attention.weights[b, c, :length, :concepts].tolist()
                wanted += by_hand(shares) if length else 0.0
            assert found[b, c].item() == pytest.approx(wanted, rel=1e-5), (b, c)
    assert found[2, 1] == 0


def test_sharp_attention_that_moves_costs_least() -> None:
    """What the two terms are for, at three words and three concepts."""

    def cost(rows: Tensor) -> float:
        shown = Attention("concepts", rows.view(1, 1, 3, 3))
        trace = Trace({"input": shown, "output": shown})
        return penalty(trace, torch.ones(1, 1, 3, dtype=torch.bool)).item()

    moving, staying = torch.eye(3), torch.eye(3)[[0, 0, 0]]
    flat = torch.full((3, 3), 1 / 3)
    assert cost(moving) < cost(staying) < cost(flat)
    assert cost(moving) == pytest.approx(2 * (math.sqrt(3) + 3), rel=1e-2)
    assert cost(staying) == pytest.approx(2 * (3 + 3), rel=1e-2)
    assert cost(flat) == pytest.approx(2 * (math.sqrt(3) + 9), rel=1e-2)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_loss_is_cross_entropy_and_the_weighted_penalty_by_hand(weight: float) -> None:
    module, batch = built("combined").double(), a_batch()
    logits, trace = module(batch.pictures, batch.words, trace=True)
    wanted, count = 0.0, 0
    for b in range(3):
        concepts = int(batch.pictures.concept_mask[b].sum())
        for c in range(2):
            real = [t for t in range(5) if int(batch.targets[b, c, t]) != PAD]
            for t in real:
                row = logits[b, c, t].tolist()
                total = math.log(sum(math.exp(x) for x in row))
                wanted += total - row[int(batch.targets[b, c, t])]
                count += 1
            for attention in trace.attentions.values() if real else ():
                shares = attention.weights[b, c, : len(real), :concepts].tolist()
                wanted += weight * by_hand(shares)
    loss, words = task(module, weight).loss(module, batch)
    assert loss.item() == pytest.approx(wanted, rel=1e-5)
    assert int(words) == count == 5 + 3 + 5 + 5 + 5


@pytest.mark.parametrize("half", [False, True])
def test_slopes_are_finite_and_reach_both_attentions(half: bool) -> None:
    """A caption of padding alone has a root of 0 in it; its endless slope must not leak."""
    module, batch = built("combined"), a_batch()

    def slopes(weight: float) -> dict[str, Tensor]:
        module.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss, _ = task(module, weight).loss(module, batch)
        loss.backward()
        return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}

    without, with_it = slopes(0.0), slopes(0.5)
    assert without.keys() == with_it.keys()
    assert all(bool(slope.isfinite().all()) for slope in with_it.values())
    for name in (
        "input_key.weight",
        "output_key.weight",
        "embedding.weight",
        "feed.project.weight",
    ):
        assert not torch.allclose(without[name], with_it[name]), name


def test_slopes_of_the_penalty_are_those_of_small_steps() -> None:
    rows = torch.rand(1, 2, 3, 4, dtype=torch.float64).softmax(-1)
    words = torch.tensor([[[True, True, False], [False, False, False]]])

    def cost(weights: Tensor) -> Tensor:
        trace = Trace({name: Attention("concepts", weights) for name in ("input", "output")})
        return penalty(trace, words).double()

    assert torch.autograd.gradcheck(cost, rows.requires_grad_())


def test_those_that_have_it_have_both_attentions_and_no_other_has() -> None:
    pictures, words = some_pictures(), some_words(3)
    for name in captioners.names():
        source = "combined"
        module = captioners.build(name, source, **TINY, heads=2, inner=8).eval()
        _, trace = module(pictures, words, trace=True)
        assert ({"input", "output"} <= set(trace.attentions)) == (
            captioners.regulariser(name) is not None
        )


def test_sizes_do_not_say_what_the_run_says() -> None:
    for name, decides in (("source", "source"), ("name", "captioner"), ("words", "vocabulary"),
                          ("region_width", "features")):  # fmt: skip
        with pytest.raises(SettingsError, match=rf"sizes\.{name} cannot be set: the .*{decides}"):
            override(RunSettings(), [f"sizes.{name}=7"])


def test_settings_weigh_the_penalty_where_there_is_one() -> None:
    given = RunSettings(captioner="att-fcn", objective=CrossEntropy(regulariser=0.01))
    assert from_json(RunSettings, to_json(given), "there") == given
    assert RunSettings().objective.regulariser == 0.0
    with pytest.raises(SettingsError, match=r"'nic' does not have. .* have one: att-fcn\."):
        override(RunSettings(captioner="nic"), ["objective.regulariser=0.1"])
    with pytest.raises(SettingsError, match="'spatial-attention' does not have"):
        RunSettings(objective=CrossEntropy(regulariser=0.1))
    with pytest.raises(SettingsError, match=r"regulariser is 0 or more, not -0\.1"):
        override(given, ["objective.regulariser=-0.1"])
