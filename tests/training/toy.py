"""A small task with dropout."""

import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from miacap.parts import WHOLE, Part


class Net(nn.Module):
    """Two layers with dropout and a tied parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.drop = nn.Dropout(0.3)
        self.second = nn.Linear(16, 1)
        self.tied = self.first.bias
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, rows: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return self.second(self.drop(torch.tanh(self.first(rows)))).squeeze(-1)


class Toy:
    """Least squares on made-up rows; a batch is a tuple of tensors."""

    watched: str | None = "score"

    def __init__(self, batches_per_epoch: int = 7, slow: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(5)
        torch.manual_seed(3)
        self.module: nn.Module = Net()
        self.batches_per_epoch = batches_per_epoch
        self.rows = torch.randn(batches_per_epoch * 4, 6, generator=generator)
        self.targets = self.rows.sum(1) + 0.1 * torch.randn(len(self.rows), generator=generator)
        self.slow = slow
        self.given = 0

    def batches(
        self, epoch: int, skip: int, part: Part = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor] | None]:
        order = torch.randperm(len(self.rows), generator=torch.Generator().manual_seed(epoch))
        for rows in order.view(-1, 4)[skip:]:
            self.given += 1
            time.sleep(self.slow)
            rows = rows[part.rank :: part.world]
            yield (self.rows[rows], self.targets[rows]) if len(rows) else None

    def loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, float]:
        rows, targets = batch
        return ((module(rows) - targets) ** 2).sum(), float(len(rows))

    def evaluate(self) -> Mapping[str, float]:
        assert not self.module.training and not torch.is_grad_enabled()
        torch.rand(3)  # an evaluation that draws must not disturb exactness
        time.sleep(self.slow)
        return {"score": -float(((self.module(self.rows) - self.targets) ** 2).mean())}
