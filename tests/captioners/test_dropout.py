"""Where dropout acts: each call's rate, shape, and the parts that it stands between.

The real dropout is stood in for by one that writes down its calls. The tables below say what
the equations' docstrings say.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.refiner import MutualIterativeAttention

REGION, WORD, REFINE, LAYER = 0.25, 0.5, 0.125, 0.0625
"""region_dropout, dropout, refiner_dropout, layer_dropout: told apart by their rates."""

Call = tuple[float, str, str, tuple[int, ...]]
"""Rate, whose result it drops from ("" where that is no part), who reads it, shape."""


@contextmanager
def written_down(module: nn.Module) -> Iterator[list[Call]]:
    """Write down what each dropout of the module stands between, instead of dropping."""
    names = {part: name for name, part in module.named_modules()}
    made: list[tuple[Tensor, str]] = []
    open_calls: list[tuple[float, str, Tensor]] = []
    readers: dict[int, str] = {}

    def note(part: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or part not in names:
            return None
        if isinstance(part, nn.Dropout):
            source = next((name for tensor, name in reversed(made) if tensor is inputs[0]), "")
            through = inputs[0].clone()
            open_calls.append((part.p, source, through))
            return through
        for index, (_, _, through) in enumerate(open_calls):
            if inputs and inputs[0] is through:
                readers.setdefault(index, names[part])
        made.append((output, names[part]))
        return None

    calls: list[Call] = []
    hook = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        yield calls
    finally:
        hook.remove()
        calls += [
            (rate, source, readers.get(index, ""), tuple(through.shape))
            for index, (rate, source, through) in enumerate(open_calls)
        ]


def of(name: str, source: str, **sizes: Any) -> Counter[Call]:
    torch.manual_seed(0)
    rates: dict[str, Any] = {
        "dropout": WORD,
        "region_dropout": REGION,
        "refiner_dropout": REFINE,
        "width": 8,
        "heads": 2,
        "inner": 12,
    }
    if name == "transformer":
        rates |= {"layer_dropout": LAYER, "layers": 1, "layer_heads": 2, "layer_inner": 10}
    module = captioners.build(
        name, source, words=WORDS, region_width=REGION_WIDTH, **rates | sizes
    ).train()
    with written_down(module) as calls:
        module(some_pictures(), some_words(3))
    return Counter(calls)


B, C, T, N, D, V = 3, 2, 5, 4, 8, REGION_WIDTH
ROWS = (REGION, "", "feed.project", (B, N, V))
WORDS_IN = (WORD, "embedding", "", (B, C, T, D))
HIDDEN = (WORD, "", "output", (B, C, T, D))
ATTENDED = (WORD, "", "output", (B, C * T, D))


def pooled(reader: str, source: str = "") -> Call:
    return (REGION, source, reader, (B, D))


POOLED_CONCEPTS = pooled("concepts", "vector")


PLAIN: dict[str, list[Call]] = {
    "nic": [ROWS, pooled("image"), WORDS_IN, HIDDEN],
    "spatial-attention": [ROWS, pooled("pooled"), WORDS_IN, ATTENDED],
    "adaptive": [ROWS, pooled("pooled"), (WORD, "embedding", "gate_word", (B, C, T, D)), ATTENDED],
    "up-down": [ROWS, pooled(""), WORDS_IN, HIDDEN],
    "att-cnn-lstm": [POOLED_CONCEPTS, WORDS_IN, HIDDEN],
    "att-fcn": [ROWS, pooled("image"), (WORD, "embedding", "", (B, C * T, D)), ATTENDED],
    "lstm-a2": [ROWS, pooled("image"), POOLED_CONCEPTS, WORDS_IN, HIDDEN],
    "lstm-a3": [ROWS, pooled("image"), POOLED_CONCEPTS, WORDS_IN, HIDDEN],
    "lstm-a4": [ROWS, pooled("image"), POOLED_CONCEPTS, WORDS_IN, HIDDEN],
    "lstm-a5": [ROWS, pooled("image"), POOLED_CONCEPTS, WORDS_IN, HIDDEN],
    "concept-attention": [WORDS_IN, ATTENDED],
    "transformer": [
        ROWS,
        (WORD, "", "encoder.0.norms.0", (B, N, D)),
        (LAYER, "encoder.0.heads.output", "", (B, N, D)),
        (LAYER, "", "encoder.0.feed.narrow", (B, N, 10)),
        (LAYER, "encoder.0.feed", "", (B, N, D)),
        (LAYER, "", "decoder.0.norms.0", (B, C, T, D)),
        (LAYER, "decoder.0.own.output", "", (B, C, T, D)),
        (LAYER, "", "", (B, C, T, D)),
        (LAYER, "", "decoder.0.feed.narrow", (B, C, T, 10)),
        (LAYER, "decoder.0.feed", "", (B, C, T, D)),
    ],
}


@pytest.mark.parametrize("name", captioners.names())
def test_dropout_of_a_plain_captioner(name: str) -> None:
    assert name in PLAIN, f"{name}: say in PLAIN where its docstring says that dropout acts"
    calls = of(name, "plain")
    assert calls == Counter(PLAIN[name])


def steps(stream: str, prefix: str = "", rate: float = REFINE) -> list[Call]:
    """One step: on the weights, and on what either sub-layer gives."""
    part = f"{prefix}refine.{stream}"
    return [
        (rate, "", "", (B, 2, N, N)),
        (rate, f"{part}.attention.output", "", (B, N, D)),
        (rate, f"{part}.narrow", "", (B, N, D)),
    ]


@pytest.mark.parametrize("iterations", [1, 2])
def test_dropout_of_a_refined_captioner_is_the_plain_ones_and_the_refiners(iterations: int) -> None:
    refined = [
        *steps("regions", "feed.mutual.refiner."),
        *steps("concepts", "feed.mutual.refiner."),
    ]
    calls = of("nic", "combined", iterations=iterations)
    assert calls == Counter(PLAIN["nic"]) + Counter(refined * iterations)


def test_dropout_of_the_refiner_alone() -> None:
    module = MutualIterativeAttention(D, 2, 12, iterations=1, dropout=0.3).train()
    with written_down(module) as calls:
        refined = module(torch.randn(B, N, D), torch.randn(B, N, D), trace=True)
    wanted = [*steps("regions", "refiner.", 0.3), *steps("concepts", "refiner.", 0.3)]
    assert Counter(calls) == Counter(wanted)
    assert refined.combined is not None


def test_the_refiners_trace_is_taken_before_dropout() -> None:
    module = MutualIterativeAttention(D, 2, 12, dropout=0.5).train()
    for step in module(torch.randn(B, N, D), torch.randn(B, N, D), trace=True).trace:
        torch.testing.assert_close(step.weights.sum(-1), torch.ones(B, 2, N))


def test_probabilities_are_dropped_from_as_rows_are() -> None:
    calls = of("att-cnn-lstm", "plain", concept_input="probabilities", concepts=15)
    assert calls == Counter([(REGION, "vector", "concepts", (B, 15)), WORDS_IN, HIDDEN])


def test_raw_features_are_dropped_from_where_they_are_pooled() -> None:
    calls = of("up-down", "plain", raw_features=True)
    assert calls == Counter([(REGION, "", "", (B, V)), WORDS_IN, HIDDEN])


@pytest.mark.parametrize("name", captioners.names())
def test_nothing_is_dropped_in_evaluation(name: str) -> None:
    torch.manual_seed(0)
    module = captioners.build(
        name, "combined", words=WORDS, region_width=REGION_WIDTH, width=8, heads=2, inner=12
    ).eval()
    before = torch.get_rng_state()
    module(some_pictures(), some_words(3))
    assert torch.equal(before, torch.get_rng_state())
