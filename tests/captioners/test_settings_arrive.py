"""Every size of every captioner changes something that can be seen, in the way that it says."""

import dataclasses
import re
from typing import Any

import pytest
import torch
from torch import nn

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.captioners.settings import FedSizes
from miacap.errors import DataError, SettingsError
from miacap.refiner import IterativeRefiner, MutualIterativeAttention

BASE: dict[str, Any] = {
    "words": WORDS,
    "region_width": REGION_WIDTH,
    "width": 8,
    "heads": 2,
    "inner": 12,
}
OTHER: dict[str, Any] = {
    "words": WORDS + 1,
    "region_width": REGION_WIDTH + 1,
    "rows": "aligned",
    "width": 16,
    "word_width": 6,
    "dropout": 0.2,
    "region_dropout": 0.7,
    "forget_bias": 1.5,
    "iterations": 1,
    "heads": 4,
    "inner": 10,
    "preset": "released",
    "order": "regions-first",
    "attention": "self",
    "residual": "query",
    "refiner_dropout": 0.4,
    "scorer": 7,
    "raw_features": True,
    "concept_input": "probabilities",
    "concepts": 14,
    "visual": "none",
    "layers": 2,
    "layer_heads": 4,
    "layer_inner": 10,
    "layer_dropout": 0.3,
}
"""Another value of every size, beside what BASE or the defaults say."""
SMALL = {"transformer": {"layers": 1, "layer_heads": 2, "layer_inner": 6}}
PLAIN_ALONE = ("raw_features", "concept_input", "concepts")
SCORED = {"concept_input": "probabilities", "concepts": 15}
UNREAD = {("transformer", "forget_bias")}
"""A Transformer has no gates."""
TIED = ("att-fcn", "concept-attention")  # word_width is width, always


def cases() -> list[tuple[str, str]]:
    return [
        (name, field.name)
        for name in captioners.names()
        for field in dataclasses.fields(captioners.sizes(name))
        if field.name not in ("name", "source")
        and not (name in TIED and field.name == "word_width")
    ]


def seen(name: str, source: str, sizes: dict[str, Any]) -> list[Any]:
    """What a captioner is and does: its parameters, its logits in evaluation and training."""
    torch.manual_seed(2)
    module = captioners.build(name, source, **BASE | SMALL.get(name, {}) | sizes)
    found: list[Any] = [(n, p.shape, float(p.detach().sum())) for n, p in module.named_parameters()]
    for aligned in (False, True):
        for training in (False, True):
            module.train(training)
            torch.manual_seed(3)
            try:
                logits, trace = module(some_pictures(aligned=aligned), some_words(3), trace=True)
            except (DataError, ValueError) as error:
                found.append(str(error))
                continue
            found += [float(logits.detach().sum()), len(trace.refiner), sorted(trace.attentions)]
            found += [float(a.weights.detach().square().sum()) for a in trace.attentions.values()]
    return found


def test_each_size_has_another_value() -> None:
    assert {field for _, field in cases()} == set(OTHER)


@pytest.mark.parametrize(("name", "field"), cases())
def test_a_size_changes_something(name: str, field: str) -> None:
    source = "plain" if field in PLAIN_ALONE else "combined"
    base = SCORED if field == "concepts" else {}
    changed = {field: OTHER[field]}
    if field == "concept_input":
        changed = SCORED
    before, after = seen(name, source, base), seen(name, source, base | changed)
    read = (name, field) not in UNREAD
    assert (before != after) == read, f"{name}: {field} changes nothing; else say so in UNREAD"


def refiner_of(module: nn.Module) -> IterativeRefiner:
    (found,) = [part for part in module.modules() if isinstance(part, IterativeRefiner)]
    return found


@pytest.mark.parametrize("name", captioners.names())
def test_the_refiner_gets_its_sizes(name: str) -> None:
    sizes = {
        "width": 24,
        "heads": 3,
        "inner": 10,
        "iterations": 3,
        "rows": "aligned",
        "residual": "none",
        "preset": "released",
        "refiner_dropout": 0.35,
        "order": "regions-first",
    }
    refiner = refiner_of(captioners.build(name, "combined", **BASE | SMALL.get(name, {}) | sizes))
    assert (refiner.width, refiner.iterations, refiner.rows) == (24, 3, "aligned")
    assert (refiner.residual, refiner.steps[0]) == ("none", ("concepts", "regions"))
    for stream, step in refiner.refine.items():
        assert step.attention.heads == 3 and step.widen.out_features == 10
        assert {p.p for p in step.modules() if isinstance(p, nn.Dropout)} == {0.35}
        assert (step.outer_norm is not None) == (stream == "regions")


REFINER: list[tuple[str, Any]] = [
    ("heads", 4),
    ("inner", 10),
    ("iterations", 1),
    ("preset", "released"),
    ("steps", (("concepts", "regions"), ("regions", "concepts"))),
    ("dropout", 0.5),
    ("bias", False),
    ("residual", "query"),
    ("residual", "none"),
    ("outer_residual", "visual"),
]


@pytest.mark.parametrize(("name", "value"), REFINER)
def test_each_setting_of_the_refiner_changes_something(name: str, value: Any) -> None:
    def seen(**settings: Any) -> list[Any]:
        torch.manual_seed(0)
        module = MutualIterativeAttention(8, **({"heads": 2, "inner": 12} | settings))
        found: list[Any] = [(n, tuple(p.shape)) for n, p in module.named_parameters()]
        rows = [torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(n)) for n in (1, 2)]
        for training in (False, True):
            torch.manual_seed(1)
            refined = module.train(training)(*rows)
            found += [refined.regions.detach().tolist()]
        return found

    assert seen() != seen(**{name: value})


def test_the_released_preset_is_an_outer_residual_of_regions() -> None:
    def names(**settings: Any) -> list[str]:
        module = MutualIterativeAttention(8, 2, 12, **settings)
        return [name for name, _ in module.named_parameters() if "outer" in name]

    assert names() == names(preset="released", outer_residual="none") == []
    visual = [f"refiner.refine.regions.outer_norm.{part}" for part in ("weight", "bias")]
    assert names(preset="released") == names(outer_residual="visual") == visual


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"inner": 0}, "inner is at least 1"),
        ({"heads": 0}, "heads is at least 1"),
        ({"word_width": 0}, "word_width is at least 1"),
        ({"region_width": 0}, "region_width is at least 1"),
        ({"region_dropout": 1.0}, "region_dropout lies in|dropout_of_regions lies in"),
        ({"refiner_dropout": -0.1}, "refiner_dropout lies in"),
        ({"dropout": float("nan")}, "dropout lies in"),
        ({"words": 4}, "words counts the four special ids"),
        ({"iterations": 1001}, "iterations is at most 1,000"),
    ],
)
def test_sizes_out_of_range_are_refused(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, SettingsError), match=re.compile(message)):
        FedSizes(name="x", **{"words": 9} | sizes)
    at_the_edge = {"words": 5, "iterations": 1000, "dropout": 0.0, "width": 1, "inner": 1}
    assert FedSizes(name="x", **at_the_edge).embedding_width == 1  # type: ignore[arg-type]


def test_a_transformers_sizes_arrive_in_every_layer() -> None:
    own = {"layers": 2, "layer_heads": 4, "layer_inner": 10, "layer_dropout": 0.3}
    module = captioners.build("transformer", "plain", **BASE | own)
    assert len(module.encoder) == len(module.decoder) == 2
    for layer in (*module.encoder, *module.decoder):
        heads = [part.heads for part in layer.modules() if hasattr(part, "heads")]
        assert {number for number in heads if isinstance(number, int)} == {4}
        assert layer.feed.widen.out_features == layer.feed.narrow.in_features == 10
        assert {part.p for part in layer.modules() if isinstance(part, nn.Dropout)} == {0.3}
