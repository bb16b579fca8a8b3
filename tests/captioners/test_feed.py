"""What a source reads and what it leaves frozen; what the rows of a slot stand for."""

import itertools
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
import torch

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.errors import SettingsError

TINY: dict[str, Any] = {"words": WORDS, "region_width": REGION_WIDTH, "heads": 2, "inner": 8}
OWN = {"transformer": {"layers": 1, "layer_heads": 2, "layer_inner": 8}}
TIED = ("att-fcn", "concept-attention")  # their words are as wide as rows
REFINED = ("regions", "concepts", "combined", "both")
EVERY = [(name, source) for name in captioners.names() for source in captioners.sources(name)]


def built(name: str, source: str, **sizes: Any) -> Any:
    torch.manual_seed(0)
    narrow = {} if name in TIED else {"word_width": 6}
    every = TINY | {"width": 8} | narrow | OWN.get(name, {}) | sizes
    return captioners.build(name, source, **every).eval()


def forms(source: str) -> Iterator[dict[str, Any]]:
    """Every attention, order and N of a refined source; the one form of any other."""
    if source not in REFINED:
        yield {}
        return
    for attention, order, iterations in itertools.product(
        ("mutual", "self"), ("concepts-first", "regions-first"), (0, 1, 2)
    ):
        yield {"attention": attention, "order": order, "iterations": iterations}


@pytest.mark.parametrize(("name", "source"), EVERY)
def test_what_can_be_trained_gets_a_gradient_and_nothing_else_does(name: str, source: str) -> None:
    """Data-parallel wrappers wait for each parameter that asks for one."""
    pictures, words = some_pictures(), some_words(3)
    for sizes in forms(source):
        module = built(name, source, **sizes)
        logits = module(pictures, words)
        (logits.log_softmax(-1) * torch.rand_like(logits)).sum().backward()
        got = {n for n, p in module.named_parameters() if p.grad is not None}
        assert got == {n for n, p in module.named_parameters() if p.requires_grad}, sizes


@pytest.mark.parametrize("attention", ["mutual", "self"])
@pytest.mark.parametrize("iterations", [0, 1])
@pytest.mark.parametrize("source", ["regions", "concepts"])
def test_a_stream_that_says_nothing_is_frozen_whole(
    source: str, iterations: int, attention: str
) -> None:
    feed = built("transformer", source, attention=attention, iterations=iterations).feed
    other = feed.lift if source == "regions" else feed.project
    own = feed.project if source == "regions" else feed.lift
    guided = attention == "mutual" and iterations > 0
    assert {p.requires_grad for p in other.parameters()} == {guided}
    assert {p.requires_grad for p in own.parameters()} == {True}
    # Frozen values are the ones that training began with, and change nothing.
    if not guided:
        module = built("transformer", source, attention=attention, iterations=iterations)
        pictures, words = some_pictures(), some_words(3)
        before = module(pictures, words)
        with torch.no_grad():
            silent = module.feed.lift if source == "regions" else module.feed.project
            silent.weight += 1.0
        assert torch.equal(before, module(pictures, words))


@pytest.mark.parametrize("rows", ["match", "aligned"])
@pytest.mark.parametrize("order", ["concepts-first", "regions-first"])
@pytest.mark.parametrize("attention", ["mutual", "self"])
@pytest.mark.parametrize("iterations", [0, 1, 2])
def test_attentions_say_whose_rows_they_run_over(
    rows: str, order: str, attention: str, iterations: int
) -> None:
    sizes = {"rows": rows, "order": order, "attention": attention, "iterations": iterations}
    pictures, words = some_pictures(aligned=rows == "aligned"), some_words(3)
    masks = {"regions": pictures.region_mask, "concepts": pictures.concept_mask}
    for name, source in (
        ("spatial-attention", "regions"),
        ("att-fcn", "concepts"),
        ("att-fcn", "both"),
        ("transformer", "concepts"),
        ("spatial-attention", "plain"),
    ):
        _, trace = built(name, source, **sizes)(pictures, words, trace=True)
        for attention_of in trace.attentions.values():
            mask = masks[attention_of.over]
            assert attention_of.weights.shape[-1] == mask.shape[1], (name, source)
            looked = (attention_of.weights > 0).any(dim=2).any(dim=1)
            assert torch.equal(looked, mask), (name, source, attention_of.over)


@pytest.mark.parametrize(
    "sizes", [{"iterations": 0}, {"attention": "self"}, {"attention": "self", "iterations": 3}]
)
def test_rows_that_never_meet_have_no_sum(sizes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"'nic': source='combined' has no sum .* rows='match'"):
        built("nic", "combined", rows="aligned", **sizes)
    built("nic", "combined", **sizes)
    built("nic", "regions", rows="aligned", **sizes)


@pytest.mark.parametrize("visual", ["plain", "none"])
@pytest.mark.parametrize("source", ["both", "normed"])
def test_att_fcn_does_not_leave_a_source_half_unread(source: str, visual: str) -> None:
    with pytest.raises(SettingsError, match=f"visual='{visual}' leaves what '{source}' does"):
        built("att-fcn", source, visual=visual)


def tensors(record: Any) -> list[torch.Tensor]:
    """Those of a memory or a state, in order."""
    if isinstance(record, torch.Tensor):
        return [record]
    parts = [getattr(record, field.name) for field in fields(record)]
    return [tensor for part in parts if part is not None for tensor in tensors(part)]


# A Transformer's encoder has dropout of its own.
@pytest.mark.parametrize(("name", "source"), [(n, s) for n, s in EVERY if n != "transformer"])
def test_regions_and_pooled_rows_have_a_dropout_of_their_own(name: str, source: str) -> None:
    """``dropout`` leaves alone all that comes before the first word, if ``region_dropout`` is 0."""
    module = built(name, source, dropout=0.5, region_dropout=0.0, refiner_dropout=0.0).train()
    torch.manual_seed(1)
    memories = [module.encode(some_pictures()) for _ in range(2)]
    draws = [tensors(memory) + tensors(module.start(memory)) for memory in memories]
    assert all(map(torch.equal, *draws))
    torch.manual_seed(1)
    words = some_words(3)[:, :, 0]
    logits = [module.step(m, module.start(m, 2), words)[0] for m in memories]
    assert not torch.equal(*logits)


def test_nic_and_att_cnn_are_one_model_under_combined_alone() -> None:
    pictures = some_pictures()
    words = some_words(len(pictures))
    with torch.no_grad():
        for source, one in (("combined", True), ("plain", False)):
            nic, att_cnn = (
                built(name, source)(pictures, words) for name in ("nic", "att-cnn-lstm")
            )
            assert torch.equal(nic, att_cnn) == one
