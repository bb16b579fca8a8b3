"""Parameters that learn at rates of their own, and parameters laid out channels last."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miacap.errors import RunError
from miacap.parts import WHOLE, Part
from miacap.training import ParameterGroup, TrainingSettings, fit
from miacap.weights import read_tensors


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(3, 4, 3)
        self.fixed = nn.Parameter(torch.ones(4), requires_grad=False)
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(x)).mean((2, 3)) * self.fixed).squeeze(1)


class Conv:
    """Least squares on made-up pictures."""

    watched = None
    batches_per_epoch = 3

    def __init__(self, *groups: tuple[str, float, float | None]) -> None:
        self.module = Net()
        self.wanted = groups

    def groups(self) -> Sequence[ParameterGroup]:
        return [
            ParameterGroup(list(getattr(self.module, name).parameters()), rate, decay)
            for name, rate, decay in self.wanted
        ]

    def batches(self, epoch: int, skip: int, part: Part = WHOLE) -> Iterator[tuple[Tensor, Tensor]]:
        for index in range(skip, 3):
            drawn = torch.Generator().manual_seed(epoch * 10 + index)
            x = torch.randn(2, 3, 5, 5, generator=drawn)
            yield x, x.mean((1, 2, 3))

    def loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        return ((module(batch[0]) - batch[1]) ** 2).sum(), 2

    def evaluate(self) -> Mapping[str, float]:
        return {}


def settings(**changes: Any) -> TrainingSettings:
    given = {"epochs": 2, "learning_rate": 0.1, "schedule": "step", "step_epochs": 1,
             "step_factor": 0.5, "weight_decay": 0.2, "optimiser": "sgd", "momentum": 0.0,
             "clip_norm": 0.0, **changes}  # fmt: skip
    return TrainingSettings(**given)


def by_hand() -> dict[str, Tensor]:
    """The body at a tenth of the rate, without decay; the head's weights decay, its bias does
    not; half the rate in the second epoch."""
    task = Conv()
    named = {n: p for n, p in task.module.named_parameters() if p.requires_grad}
    for epoch in range(2):
        for x, y in task.batches(epoch, 0):
            loss, weight = task.loss(task.module, (x, y))
            gradients = torch.autograd.grad(loss / weight, list(named.values()))
            for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
                rate = 0.1 * (0.5 if epoch else 1.0) * (0.1 if name.startswith("body") else 1.0)
                decay = 0.2 if name == "head.weight" else 0.0
                with torch.no_grad():
                    parameter -= rate * (gradient + decay * parameter)
    return task.module.state_dict()


def test_groups_have_rates_and_decays_of_their_own(tmp_path: Path) -> None:
    task = Conv(("body", 0.1, 0.0))
    fit(task, settings(), tmp_path, quiet=True)
    for name, value in by_hand().items():
        torch.testing.assert_close(task.module.state_dict()[name], value)


def test_one_group_of_everything_at_the_full_rate_changes_nothing(tmp_path: Path) -> None:
    alike = []
    for number, groups in enumerate([(), (("head", 1.0, None),)]):
        task = Conv(*groups)
        fit(task, settings(optimiser="adamw"), tmp_path / str(number), quiet=True)
        alike.append(task.module.state_dict())
    assert all(torch.equal(alike[0][name], alike[1][name]) for name in alike[0])


def test_a_parameter_is_in_one_group(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a parameter into two groups"):
        fit(Conv(("head", 1.0, None), ("head", 0.5, None)), settings(), tmp_path, quiet=True)


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd", "rmsprop"])
def test_parameters_laid_out_channels_last_go_on_exactly(optimiser: str, tmp_path: Path) -> None:
    """The optimiser's numbers go back to where their parameters' numbers lie in memory."""

    def task() -> Conv:
        made = Conv(("body", 0.3, None))
        made.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return made

    given = settings(optimiser=optimiser, momentum=0.9)
    fit(task(), given, tmp_path / "whole", quiet=True)
    while not fit(task(), given, tmp_path / "parts", quiet=True, stop_after=1).finished:
        pass
    whole, parts = (read_tensors(tmp_path / n / "weights.safetensors") for n in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
