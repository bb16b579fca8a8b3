"""How captioners begin: the scale and structure of every parameter, and the defaults of sizes."""

import dataclasses
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miacap import captioners
from miacap.captioners.recurrence import Recurrence

D, W, V, INNER = 64, 300, 96, 80
HEADS = 4

Kind = tuple[str, float]
"""A way to draw numbers, and its scale: half the width of a uniform one, or a deviation."""


def linear(inputs: int) -> Kind:
    """What torch gives a linear map's weight and bias."""
    return "uniform", inputs**-0.5


ONE_READ = ("nic", "att-cnn-lstm", "att-fcn", "lstm-a2", "lstm-a3", "lstm-a4", "lstm-a5")
"""What these read once has to last: orthogonal recurrent weights, a forget bias of 2."""

REFINER: dict[str, Kind] = {
    # 2 / (d_h + d_k): a head's matrix is d_h x d_k.
    r"attention\.(query|key|value)\.weight": ("normal", (2 / (D + D // HEADS)) ** 0.5),
    r"attention\.output\.weight": ("normal", (2 / (D + D)) ** 0.5),
    r"attention\.(query|key|value|output)\.bias": linear(D),
    r"widen\.(weight|bias)": linear(D),
    r"narrow\.(weight|bias)": linear(INNER),
    r"(\w*norm)\.weight": ("constant", 1.0),
    r"(\w*norm)\.bias": ("constant", 0.0),
}

SHARED: dict[str, Kind] = {
    r"embedding\.weight": ("uniform", 1.0),
    r"feed\.project\.(weight|bias)": linear(V),
    r"feed\.mutual\.refiner\.refine\.\w+\.": ("refiner", 0.0),
    r"feed\.mutual\.norm\.weight": ("constant", 1.0),
    r"feed\.mutual\.norm\.bias": ("constant", 0.0),
    r"(recurrence|attend|language)\.inputs": linear(D),
    r"(attend|language)\.hidden": linear(D),
    r"(recurrence|attend|language)\.bias": ("biases", D**-0.5),
    r"pooled\.(weight|bias)": linear(D),
    r"output\.(weight|bias)": linear(D),
    # Pooled rows are small, so the map that reads them once is loud.
    r"image\.weight": ("normal", 6 * D**-0.5),
    r"image\.bias": linear(D),
}

OWN: dict[str, dict[str, Kind]] = {
    "adaptive": {r"(gate_\w+|sentinel_key)\.weight": linear(D)},
    "att-cnn-lstm": {r"concepts\.weight": ("normal", 6 * D**-0.5), r"concepts\.bias": linear(D)},
    "att-fcn": {
        r"(input_key|output_key|output)\.weight": ("normal", 1 / D),
        r"input\.weight": linear(D),
        r"(input|output)_share": ("constant", 1.0),
    },
    "transformer": {
        r"embedding\.weight": ("normal", D**-0.5),
        r"(encoder|decoder)\.\d\.(heads|own|cross)\.\w+\.weight": ("uniform", (6 / (D + D)) ** 0.5),
        r"(encoder|decoder)\.\d\.feed\.(widen|narrow)\.weight": (
            "uniform",
            (6 / (D + INNER)) ** 0.5,
        ),
        r"(encoder|decoder)\.\d\.(heads|own|cross)\.\w+\.bias": linear(D),
        r"(encoder|decoder)\.\d\.feed\.widen\.bias": linear(D),
        r"(encoder|decoder)\.\d\.feed\.narrow\.bias": linear(INNER),
        r"(encoder|decoder)(\.\d\.norms\.\d|_norm)\.weight": ("constant", 1.0),
        r"(encoder|decoder)(\.\d\.norms\.\d|_norm)\.bias": ("constant", 0.0),
        r"output\.weight": ("uniform", (6 / (D + W)) ** 0.5),
    },
}
for number in (2, 3, 4, 5):
    OWN[f"lstm-a{number}"] = OWN["att-cnn-lstm"]
for name in ONE_READ:
    OWN[name] = {**OWN.get(name, {}), r"recurrence\.hidden": ("orthogonal", 1.0)}
for name in ("spatial-attention", "adaptive", "concept-attention"):
    OWN[name] = {**OWN.get(name, {}), r"recurrence\.hidden": linear(D)}
for name, scorer in (
    ("spatial-attention", 49),
    ("adaptive", 49),
    ("concept-attention", 49),
    ("up-down", 512),
):
    OWN[name] = {
        **OWN.get(name, {}),
        r"attention\.(key|query)\.weight": linear(D),
        r"attention\.score\.weight": linear(scorer),
    }
PARTS = {"up-down": {"attend": 3, "language": 2}, "spatial-attention": {"recurrence": 2},
         "adaptive": {"recurrence": 2}}  # fmt: skip


def built(name: str, source: str = "combined", **sizes: Any) -> nn.Module:
    torch.manual_seed(1)
    every = {"width": D, "region_width": V, "heads": HEADS, "inner": INNER} | sizes
    if name == "transformer":
        every |= {"layers": 1, "layer_heads": HEADS, "layer_inner": INNER}
    module: nn.Module = captioners.build(name, source, words=W, **every)
    return module


def kind_of(name: str, parameter: str) -> Kind:
    """What the tables say of a parameter; each matches one line of them."""
    for pattern, kind in [*OWN.get(name, {}).items(), *SHARED.items()]:
        if re.match(pattern, parameter) and kind[0] == "refiner":
            inside = re.sub(pattern, "", parameter)
            return next(k for p, k in REFINER.items() if re.fullmatch(p, inside))
        if re.fullmatch(pattern, parameter):
            return kind
    raise LookupError(f"{name}: {parameter}")


def check(numbers: Tensor, kind: str, scale: float, told: str) -> None:
    numbers = numbers.detach().double()
    if kind == "constant":
        assert (numbers == scale).all(), told
        return
    if kind == "orthogonal":
        for gate in numbers.chunk(4):
            torch.testing.assert_close(gate @ gate.T, torch.eye(D).double(), atol=1e-5, rtol=0)
        return
    wanted = scale / 3**0.5 if kind == "uniform" else scale
    # Five deviations of a deviation that is measured over so many numbers.
    slack = (
        5 * (0.8 / numbers.numel()) ** 0.5 if kind == "normal" else 5 * 0.5 / numbers.numel() ** 0.5
    )
    assert abs(float(numbers.std()) / wanted - 1) < max(slack, 0.02), told
    assert abs(float(numbers.mean())) < 5 * wanted / numbers.numel() ** 0.5, told
    if kind == "uniform":
        assert float(numbers.abs().max()) <= scale + 1e-6, told
    elif numbers.numel() > 1000:  # a normal one reaches beyond any uniform one of its deviation
        assert float(numbers.abs().max()) > 2.2 * wanted, told


@pytest.mark.parametrize("name", captioners.names())
def test_every_parameter_begins_as_documented(name: str) -> None:
    biases = 2.0 if name in ONE_READ else 0.0
    for parameter, numbers in built(name).named_parameters():
        kind, scale = kind_of(name, parameter)
        if kind == "biases":
            i, f, o, g = numbers.detach().chunk(4)
            check(torch.cat([i, f - biases, o, g]), "uniform", scale, parameter)
            assert abs(float(f.mean()) - biases) < 0.1, parameter
        else:
            check(numbers, kind, scale, parameter)


@pytest.mark.parametrize("name", [n for n in captioners.names() if n != "transformer"])
@pytest.mark.parametrize("forget_bias", [0.0, 3.0])
def test_the_forget_bias_is_added_in_its_gate(name: str, forget_bias: float) -> None:
    module = built(name, forget_bias=forget_bias)
    for part in module.modules():
        if isinstance(part, Recurrence):
            means = [float(gate.mean()) for gate in part.bias.detach().chunk(4)]
            assert means[1] == pytest.approx(forget_bias, abs=0.1)
            assert [means[0], *means[2:]] == pytest.approx([0.0] * 3, abs=0.1)


def test_kinds_of_rows_begin_small() -> None:
    kinds = built("transformer", "both").kinds
    assert isinstance(kinds, nn.Parameter)
    check(kinds, "normal", 0.02, "kinds")


def test_wider_words_keep_their_scale() -> None:
    """The lift is a plain linear map; a Transformer's words are drawn by their own width."""
    module = built("transformer", word_width=256)
    check(module.embedding.weight, "normal", 256**-0.5, "embedding")  # type: ignore[arg-type]
    check(module.feed.lift.weight, *linear(256), "lift")  # type: ignore[union-attr, arg-type]


FED = {
    "source": "combined",
    "region_width": 1280,
    "rows": "match",
    "width": 512,
    "word_width": None,
    "dropout": 0.5,
    "region_dropout": None,
    "forget_bias": 0.0,
    "iterations": 2,
    "heads": 8,
    "inner": 2048,
    "preset": "paper",
    "order": "concepts-first",
    "attention": "mutual",
    "residual": "value",
    "refiner_dropout": 0.1,
}
LASTING = {"region_dropout": 0.0, "forget_bias": 2.0}
POOLED = {**LASTING, "concept_input": "rows", "concepts": 0}
DEFAULTS: dict[str, dict[str, Any]] = {
    "nic": LASTING,
    "spatial-attention": {"scorer": 49},
    "adaptive": {"scorer": 49},
    "up-down": {"scorer": 512, "raw_features": False},
    "att-cnn-lstm": POOLED,
    "att-fcn": {**LASTING, "visual": "source"},
    "lstm-a2": POOLED,
    "lstm-a3": POOLED,
    "lstm-a4": POOLED,
    "lstm-a5": POOLED,
    "concept-attention": {"scorer": 49},
    "transformer": {"layers": 3, "layer_heads": 8, "layer_inner": 2048, "layer_dropout": 0.1},
}


@pytest.mark.parametrize("name", captioners.names())
def test_sizes_that_nobody_gives(name: str) -> None:
    assert name in DEFAULTS, f"{name}: say in DEFAULTS what its own sizes begin with"
    sizes = dataclasses.asdict(captioners.sizes(name, words=9))
    assert sizes == {"name": name, "words": 9, **FED, **DEFAULTS[name]}
