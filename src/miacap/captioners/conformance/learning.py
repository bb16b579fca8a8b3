"""What training relies on: gradients, dropout, weights, half precision, a regulariser."""

import torch

from miacap.captioners.conformance.check import Check, close
from miacap.captioners.conformance.drawing import (
    some_pictures,
    some_words,
)
from miacap.captioners.registry import build, regulariser
from miacap.settings import to_json

__all__ = [
    "a_regulariser_costs_what_is_predicted",
    "dropout_is_for_training",
    "gradients_arrive",
    "half_precision_is_close",
    "saved_is_loaded",
]


def gradients_arrive(check: Check) -> None:
    """Each parameter that can be trained gets a finite gradient that is not 0."""
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    logits = captioner(pictures, words)
    torch.manual_seed(2)
    (logits.log_softmax(-1) * torch.rand_like(logits)).sum().backward()
    for name, parameter in captioner.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} gets a gradient, or is frozen."
            assert bool(parameter.grad.isfinite().all()), f"The gradient of {name} is finite."
            # Softmax ignores what it adds to a whole row of scores: a key's bias.
            live = name.endswith("key.bias") or bool(parameter.grad.abs().max() > 0)
            assert live, f"The gradient of {name} is not zero everywhere."


def dropout_is_for_training(check: Check) -> None:
    """Chance plays in training alone, and follows the seed."""
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    one, two = captioner(pictures, words), captioner(pictures, words)
    assert torch.equal(one, two), "In eval mode the same input gives the same logits."
    captioner.train()
    torch.manual_seed(3)
    one = captioner(pictures, words)
    torch.manual_seed(3)
    two = captioner(pictures, words)
    assert torch.equal(one, two), "Under a seed training is repeatable."


def saved_is_loaded(check: Check) -> None:
    """Sizes and weights are all that there is."""
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    again = build(**to_json(captioner.sizes)).double().eval()
    again.load_state_dict(captioner.state_dict())
    one, two = captioner(pictures, words), again(pictures, words)
    assert torch.equal(one, two), "build(**sizes) and the weights give the same captioner."


def half_precision_is_close(check: Check) -> None:
    """Under bfloat16 logits are close and gradients finite."""
    captioner, pictures, words = check.build().float(), some_pictures(), some_words(3)
    exact = captioner(pictures, words)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = captioner(pictures, words)
    rough.float().square().sum().backward()
    gap = (rough.float() - exact).abs().max().item()
    assert gap < 0.1 * (1 + exact.abs().max().item()), f"bfloat16 is close; it is off by {gap:.2g}."
    for name, parameter in captioner.named_parameters():
        if parameter.grad is not None:
            assert bool(parameter.grad.isfinite().all()), (
                f"In bfloat16 {name} gets finite gradients."
            )


def a_regulariser_costs_what_is_predicted(check: Check) -> None:
    """A regulariser, if there is one, weighs real words and can be learned from."""
    cost = regulariser(check.captioner)
    if cost is None:
        return
    captioner, pictures, words = check.build(), some_pictures(), some_words(3)
    real = torch.ones_like(words, dtype=torch.bool)
    real[0, 1, 3:] = False
    real[2, 1] = False
    _, trace = captioner(pictures, words, trace=True)
    costs = cost(trace, real)
    assert costs.shape == words.shape[:2], f"A regulariser gives B C, not {tuple(costs.shape)}."
    assert bool(costs.isfinite().all()), "A regulariser is finite."
    assert costs[2, 1] == 0, "A regulariser of a caption without words is 0."
    other = words.clone()
    other[0, 1, 3:] = (other[0, 1, 3:] + 1) % 4
    _, changed = captioner(pictures, other, trace=True)
    close(cost(changed, real)[0, 1], costs[0, 1], "A regulariser leaves masked words out.")
    costs.sum().backward()  # type: ignore[no-untyped-call]
    slopes = [p.grad for p in captioner.parameters() if p.grad is not None]
    assert all(bool(slope.isfinite().all()) for slope in slopes), "Its gradients are finite."
    assert any(bool(slope.any()) for slope in slopes), "Its gradients reach the captioner."
