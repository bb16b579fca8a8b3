"""Derivatives written out by hand, against those that autograd finds for itself."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miacap import captioners
from miacap.captioners.conformance import REGION_WIDTH, WORDS, some_pictures, some_words
from miacap.captioners.late_gradient import LateGradient
from miacap.captioners.recurrence import LstmState, Recurrence
from miacap.captioners.up_down import UpDown

SIZES: dict[str, Any] = {"words": WORDS, "region_width": REGION_WIDTH, "heads": 2, "inner": 12}
EVERY = [(name, source) for name in captioners.names() for source in captioners.sources(name)]


def built(name: str, source: str) -> Any:
    torch.manual_seed(5)
    own = {"layers": 2, "layer_heads": 2, "layer_inner": 6} if name == "transformer" else {}
    module = captioners.build(name, source, width=8, **SIZES, **own).double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return module


def stepped(module: Any, words: Tensor) -> Tensor:
    memory = module.encode(some_pictures())
    state, found = module.start(memory, words.shape[1]), []
    for time in range(words.shape[2]):
        logits, state = module.step(memory, state, words[:, :, time])
        found.append(logits)
    return torch.stack(found, dim=2)


def slopes(module: nn.Module, logits: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    generator = torch.Generator().manual_seed(6)
    weights = torch.rand(logits.shape, generator=generator, dtype=logits.dtype)
    (logits.log_softmax(-1) * weights).sum().backward()
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("name", "source"), EVERY)
def test_forward_has_the_slopes_of_repeated_steps(name: str, source: str) -> None:
    """``step`` is plain autograd; what ``forward`` computes ahead or late is not."""
    module, words = built(name, source), some_words(3, captions=2, length=4)
    whole = slopes(module, module(some_pictures(), words))
    by_steps = slopes(module, stepped(module, words))
    assert whole.keys() == by_steps.keys()
    for parameter, slope in whole.items():
        torch.testing.assert_close(slope, by_steps[parameter], atol=1e-9, rtol=1e-9, msg=parameter)


@pytest.mark.parametrize("read", ["hidden", "cells", "both", "last"])
def test_an_lstm_has_the_slopes_of_its_equations(read: str) -> None:
    """Small steps in the input, the weights and the first state, whatever is read of it."""
    torch.manual_seed(7)
    module = Recurrence((3,), 2).double()
    drive = torch.randn(2, 2, 3, 8, dtype=torch.float64, requires_grad=True)
    first = [torch.randn(2, 1, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]

    def run(drive: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        module.__dict__["hidden"] = weight  # stands before the parameter of that name
        every_hidden, every_cell = module.run(drive, LstmState(hidden, cell))
        return {
            "hidden": (every_hidden,),
            "cells": (every_cell,),
            "both": (every_hidden, every_cell),
            "last": (every_hidden[:, :, -1],),
        }[read]

    weight = module.hidden.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (drive, weight, *first))


def test_a_late_gradient_is_the_sum_of_all_words() -> None:
    torch.manual_seed(8)
    weight = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    drives = torch.randn(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)

    def run(late: bool) -> list[Tensor]:
        given = LateGradient(weight)
        each = given.gather(drives) if late else drives
        x, total = torch.ones(2, 1, 3, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for drive in each.unbind(2):
            y = drive + (given.product(x) if late else nn.functional.linear(x, weight))
            x, total = y[..., :3].tanh(), total + y.square().sum()
        return list(torch.autograd.grad(total, (weight, drives)))

    for one, other in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", ["nic", "adaptive", "up-down", "att-fcn", "transformer"])
def test_slopes_in_half_precision_point_the_same_way(name: str) -> None:
    module, words = built(name, "combined").float(), some_words(3)
    exact = slopes(module, module(some_pictures(), words))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = module(some_pictures(), words)
    rough = slopes(module, logits.float())
    one = torch.cat([exact[n].flatten() for n in exact])
    other = torch.cat([rough[n].flatten() for n in exact])
    assert nn.functional.cosine_similarity(one, other, dim=0) > 0.995


def test_up_down_leaves_no_inputs_behind() -> None:
    """Two passes before one backward, as when steps are added up: each has its own words."""
    module = built("up-down", "plain")
    assert isinstance(module, UpDown)
    batches = [some_words(3, length=4), some_words(3, length=3, seed=1)]
    apart = [slopes(module, module(some_pictures(), words)) for words in batches]
    module.zero_grad()
    losses = []
    for words in batches:
        logits = module(some_pictures(), words)
        generator = torch.Generator().manual_seed(6)
        weights = torch.rand(logits.shape, generator=generator, dtype=logits.dtype)
        losses.append((logits.log_softmax(-1) * weights).sum())
    torch.stack(losses).sum().backward()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, apart[0][name] + apart[1][name], msg=name)
