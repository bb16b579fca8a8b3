"""Numbers of parameters of the full-size recipes, derived by hand from the equations.

V raw region width, d rows and hidden states, e words, W vocabulary, s scorer.
"""

import pytest
import torch

from miacap import captioners
from miacap.experiments import recipe
from miacap.experiments.baselines import BASELINES
from miacap.runs.folder import build

V, W = 2048, 9487
MUTUAL = {512: 6_305_792, 1000: 16_216_096, 1024: 16_801_792}  # by d_h, counted by hand


def lstm(inputs: int, d: int) -> int:
    return 4 * d * inputs + 4 * d * d + 4 * d


def project(d: int) -> int:
    return V * d + d  # W_a, b


def output(d: int) -> int:
    return d * W + W


def nic(d: int) -> int:
    return W * d + project(d) + (d * d + d) + lstm(d, d) + output(d)


def att_cnn(d: int) -> int:
    return nic(d) - project(d)  # no visual feature


def lstm_a(d: int) -> int:
    return nic(d) + d * d + d  # T_v and T_a


def scorer(d: int, s: int) -> int:
    return 2 * s * d + s  # W_v, W_g, u


def spatial(d: int, s: int = 49) -> int:
    return W * d + project(d) + (d * d + d) + lstm(2 * d, d) + scorer(d, s) + output(d)


def adaptive(d: int, s: int = 49) -> int:
    return spatial(d, s) + 2 * d * d + d * d + s * d  # W_x of [w ; v^g], W_h, W_s


def up_down(d: int, s: int = 512) -> int:
    return W * d + project(d) + lstm(3 * d, d) + lstm(2 * d, d) + scorer(d, s) + output(d)


def att_fcn(d: int) -> int:
    # E, W_a, W_v, U, W_b, q_in, q_out, W_x, the LSTM, W_y; the output is tied to E.
    return W * d + project(d) + (d * d + d) + 2 * d * d + 2 * d + d * d + lstm(d, d) + d * d


def concept_attention(d: int, s: int = 49) -> int:
    return W * d + lstm(d, d) + scorer(d, s) + output(d)


def transformer(d: int, layers: int = 6, inner: int = 2048) -> int:
    heads, norm, feed = 4 * (d * d + d), 2 * d, 2 * d * inner + inner + d
    encoder, decoder = heads + feed + 2 * norm, 2 * heads + feed + 3 * norm
    return W * d + project(d) + layers * (encoder + decoder) + 2 * norm + output(d)


FULL = [
    ("nic", 512, nic(512)),
    ("spatial-attention", 512, spatial(512)),
    ("adaptive", 512, adaptive(512)),
    ("up-down", 1000, up_down(1000)),
    ("att-cnn-lstm", 512, att_cnn(512)),
    ("att-fcn", 512, att_fcn(512)),
    ("lstm-a2", 1024, lstm_a(1024)),
    ("lstm-a3", 1024, lstm_a(1024)),
    ("lstm-a4", 1024, lstm_a(1024)),
    ("lstm-a5", 1024, lstm_a(1024)),
    ("concept-attention", 512, concept_attention(512)),
    ("transformer", 512, transformer(512)),
]


def count(name: str, source: str, **sizes: object) -> int:
    with torch.device("meta"):
        module = captioners.build(name, source, words=W, region_width=V, **sizes)
    return sum(parameter.numel() for parameter in module.parameters())


def of_recipe(name: str, source: str) -> int:
    """The number of parameters of a captioner's full-size recipe."""
    baseline = next(b.name for b in BASELINES.values() if b.captioner == name)
    settings = recipe(f"{baseline}-{source}").fitted(W, V)
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(settings, W).parameters())


@pytest.mark.parametrize(("name", "d", "expected"), FULL)
def test_plain_has_the_equations_parameters_alone(name: str, d: int, expected: int) -> None:
    assert of_recipe(name, "plain") == expected


@pytest.mark.parametrize(("name", "d", "expected"), FULL)
def test_other_sources_add_the_refiner_and_nothing_else(name: str, d: int, expected: int) -> None:
    # Where plain reads no regions, their projection comes along with the refiner.
    extra = project(d) if name in ("att-cnn-lstm", "concept-attention") else 0
    for source in captioners.sources(name):
        kinds = 2 * d if name == "transformer" and source in ("both", "concatenated") else 0
        more = {"plain": 0, "concatenated": kinds, "normed": 2 * d}.get(
            source, MUTUAL[d] + extra + kinds
        )
        assert of_recipe(name, source) == expected + more, source


def test_other_forms() -> None:
    # Raw features: no projection, and rows V wide in x1, x2 and the scorer.
    d, s = 1000, 512
    raw = W * d + lstm(2 * d + V, d) + lstm(V + d, d) + s * (V + d) + s + output(d)
    assert count("up-down", "plain", width=d, raw_features=True) == raw
    # Probabilities of 1,000 concepts in place of rows.
    sizes = {"concept_input": "probabilities", "concepts": 1000}
    assert count("att-cnn-lstm", "plain", **sizes) == att_cnn(512) + (1000 - 512) * 512
    assert count("lstm-a5", "plain", width=1024, **sizes) == lstm_a(1024) - 24 * 1024
    # Words of another width than rows: one linear map for the concepts.
    wide = count("lstm-a5", "plain", width=512, word_width=300)
    changed = W * 300 + project(512) + 2 * (512 * 300 + 300) + lstm(300, 512) + output(512)
    assert wide == changed + 300 * 512 + 512


def test_docs_say_these_numbers(request: pytest.FixtureRequest) -> None:
    text = (request.config.rootpath / "docs" / "captioners.md").read_text(encoding="utf-8")
    for name, _, expected in FULL:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert f"{expected:,}" in row, name
        for source in captioners.sources(name):
            assert source in row, (name, source)
