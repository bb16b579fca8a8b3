"""The refiner in a classifier over two sets of features: are the marked rows of one kind?"""

import torch
from torch import Tensor, nn

from miacap.refiner import MutualIterativeAttention


class TwoSets(nn.Module):
    def __init__(self, features: int, classes: int, refined: bool, width: int = 32) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(features, width), nn.Linear(features, width)
        self.refine = MutualIterativeAttention(width, heads=4, inner=64) if refined else None
        self.output = nn.Linear(width, classes)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:  # each B x rows x features
        sets = self.first(first), self.second(second)
        return self.output((self.refine(*sets).combined if self.refine else sum(sets)).mean(dim=1))


def drawn(count: int, kinds: int = 2, rows: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    kind = torch.randint(kinds, (2, count, rows))
    marked = torch.zeros(2, count, rows).scatter(2, torch.randint(rows, (2, count, 1)), 1.0)
    sets = torch.cat([nn.functional.one_hot(kind, kinds), marked.unsqueeze(-1)], dim=-1)
    return *sets, torch.eq(*(kind * marked).sum(-1)).long()


if __name__ == "__main__":
    for refined in (False, True):
        torch.manual_seed(0)
        model = TwoSets(features=3, classes=2, refined=refined)
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(150):
            *sets, answer = drawn(64)
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(*sets), answer).backward()
            optimiser.step()
        *sets, answer = drawn(2000)
        print(f"{refined=}: {(model.eval()(*sets).argmax(1) == answer).float().mean():.0%} right")
