"""Scores of any kind as probabilities: a logistic regression of a few numbers, by Newton's way.

    log-odds of word w in a picture = sum_f b_f x_f(w) + b_0     [eq:calibrated]

The numbers b are shared by all words, so that a handful is fitted on very many pairs of pictures
and words; they are fitted on training pictures alone, whose scores know nothing of their own
captions.
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_STEPS = 50
_RIDGE = 1e-6
_DONE = 1e-9

Part = tuple[Float[Tensor, "B A F"], Bool[Tensor, "B A"] | Float[Tensor, "B A"]]
"""Features of some pictures' words, and which words their captions name (or how probably)."""


def fit(parts: Callable[[], Iterable[Part]], features: int) -> Float[Tensor, " F"]:
    """Fit the numbers b_1 .. b_F, then b_0.

    Args:
        parts: gives the training pictures, a few at a time, from the beginning each time.
        features: F.

    Returns:
        F + 1 numbers in double precision, the constant last.
    """
    numbers = torch.zeros(features + 1, dtype=torch.float64)
    for _ in range(_STEPS):
        slope = -_RIDGE * numbers
        bend = _RIDGE * torch.eye(features + 1, dtype=torch.float64)
        pairs = 0
        for values, targets in parts():
            x = with_constant(values)
            p = torch.sigmoid(x @ numbers)
            slope = slope + x.T @ (targets.flatten().double() - p)
            bend = bend + (x * (p * (1 - p))[:, None]).T @ x
            pairs += len(x)
        step = torch.linalg.solve(bend, slope)
        # A long step from where everything is sure would overshoot.
        numbers = numbers + step * min(1.0, 10.0 / float(step.abs().max().clamp(min=1e-30)))
        if float(slope.abs().max()) <= _DONE * max(1, pairs):
            break
    return numbers


def with_constant(values: Float[Tensor, "B A F"]) -> Float[Tensor, "P G"]:
    """Lay features out as rows, P = B A, with a 1 at the end, G = F + 1."""
    rows = values.flatten(0, 1).double()
    return torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], dim=1)


def probabilities(
    values: Float[Tensor, "B A F"], numbers: Float[Tensor, " G"]
) -> Float[Tensor, "B A"]:
    """Give the probabilities of words, in single precision and never 0. [eq:calibrated]"""
    sure = torch.sigmoid(with_constant(values) @ numbers.double())
    return sure.view(values.shape[:2]).float().clamp(1e-7, 1 - 1e-7)
