from math import log

import pytest
import torch

from miacap.captioning.cross_entropy import summed_loss
from miacap.text import BOS, EOS, PAD


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_equation_in_plain_loops(smoothing: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 9)
    targets = torch.tensor(
        [
            [[5, 6, EOS, PAD], [7, EOS, PAD, PAD], [PAD, PAD, PAD, PAD]],
            [[4, 4, 4, 4], [EOS, PAD, PAD, PAD], [8, 3, 5, EOS]],
        ]
    )
    total, count = 0.0, 0
    for b in range(2):
        for c in range(3):
            for t in range(4):
                target = int(targets[b, c, t])
                if target == PAD:
                    continue
                p = torch.softmax(logits[b, c, t].double(), -1).tolist()
                for word in range(9):
                    q = 1 - smoothing if word == target else smoothing / 8
                    total -= q * log(p[word])
                count += 1
    loss, weight = summed_loss(logits, targets, smoothing)
    assert float(loss) == pytest.approx(total, rel=1e-5)
    assert int(weight) == count == 14


def test_padding_and_bos_never_count() -> None:
    logits = torch.randn(1, 1, 3, 6, requires_grad=True)
    targets = torch.tensor([[[5, EOS, PAD]]])
    loss, _ = summed_loss(logits, targets)
    loss.backward()
    assert logits.grad is not None
    assert bool((logits.grad[0, 0, 2] == 0).all())
    assert bool((logits.grad[0, 0, 0] != 0).all())
    assert BOS not in targets
