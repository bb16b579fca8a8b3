"""Softmax and sums over time in single precision, whatever the products are taken in."""

from typing import Any

import pytest
import torch

from miacap import captioners
from miacap.captioners import masked_softmax
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.captioners.recurrence import LstmState, Recurrence, lstm_cell
from miacap.refiner import MutualIterativeAttention

HALVES = [torch.bfloat16, torch.float16]
SIZES: dict[str, Any] = {"width": 8, "heads": 2, "inner": 12}


@pytest.mark.parametrize("half", HALVES)
def test_a_softmax_of_half_precision_scores_is_taken_in_single(half: torch.dtype) -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0, 3.0]], dtype=half)
    mask = torch.tensor([[True, True, True, False]])
    shares = masked_softmax(scores, mask)
    assert shares.dtype == torch.float32 and shares[0, 3] == 0
    exact = scores[:, :3].double().softmax(-1).float()
    torch.testing.assert_close(shares[:, :3], exact, atol=1e-7, rtol=1e-6)
    assert masked_softmax(scores.double(), mask).dtype == torch.float64
    assert masked_softmax(scores.float(), mask).dtype == torch.float32


@pytest.mark.parametrize("name", captioners.names())
def test_attentions_under_autocast_sum_to_1_in_single_precision(name: str) -> None:
    torch.manual_seed(0)
    module = captioners.build(name, "combined", words=WORDS, region_width=REGION_WIDTH, **SIZES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, trace = module.eval()(some_pictures(), some_words(3), trace=True)
    weights = [a.weights for a in trace.attentions.values()] + [s.weights for s in trace.refiner]
    for shares in weights:
        assert shares.dtype == torch.float32
        torch.testing.assert_close(
            shares.sum(-1), torch.ones_like(shares[..., 0]), atol=1e-6, rtol=0.0
        )


def test_the_refiners_softmax_is_taken_in_single_precision() -> None:
    torch.manual_seed(0)
    module = MutualIterativeAttention(8, 2, 12).to(torch.bfloat16)
    rows = torch.randn(2, 2, 3, 8, dtype=torch.bfloat16)
    refined = module(rows[0], rows[1], trace=True)
    assert {step.weights.dtype for step in refined.trace} == {torch.float32}
    assert refined.regions.dtype == torch.bfloat16


@pytest.mark.parametrize("half", HALVES)
def test_a_recurrence_sums_over_time_in_single_precision(half: torch.dtype) -> None:
    """1 + 1/512 + ... is lost in half precision, and adds up in single precision."""
    recurrence = Recurrence((4,), 4)
    gates = torch.full((1, 1, 300, 16), 20.0)  # all gates open
    gates[..., 12:] = 1 / 512
    zeros = LstmState(torch.zeros(1, 1, 4), torch.ones(1, 1, 4))
    with torch.no_grad():
        recurrence.hidden.zero_()
        _, cells = recurrence.run(gates.to(half), zeros)
        state = zeros
        for _ in range(300):
            state = lstm_cell(gates[:, :, 0].to(half), state)
    assert cells.dtype == state.cell.dtype == torch.float32
    for cell in (cells[:, :, -1], state.cell):
        torch.testing.assert_close(cell, torch.full_like(cell, 1 + 300 / 512), atol=2e-3, rtol=0)


def test_a_recurrence_keeps_double_precision() -> None:
    recurrence = Recurrence((4,), 4).double()
    zeros = LstmState(*(torch.zeros(1, 1, 4).double() for _ in range(2)))
    hidden, cells = recurrence.run(torch.randn(1, 1, 3, 16).double(), zeros)
    assert hidden.dtype == cells.dtype == torch.float64
