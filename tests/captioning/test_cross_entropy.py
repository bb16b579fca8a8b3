from math import log
from typing import Any, cast

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

from miacap.captioning.cross_entropy import CrossEntropyTask, summed_loss
from miacap.data.batches import Batch
from miacap.pictures import collate
from miacap.runs import CrossEntropy
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


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.37])
@pytest.mark.parametrize(("rows", "words"), [(0, 9), (1, 2), (40, 53), (96, 2611)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_loss_and_gradient_are_those_of_torch_to_the_bit(
    smoothing: float, rows: int, words: int, kind: torch.dtype
) -> None:
    """Its softmax is taken once, and weights of trainings stay what they were."""
    torch.manual_seed(rows)
    logits = (4 * torch.randn(2, 2, max(rows // 2, 1), words)).to(kind)
    targets = torch.randint(0, words, logits.shape[:-1])
    targets[:, 1] = PAD
    if not rows:
        targets[:] = PAD
    found, wanted = (logits.clone().requires_grad_() for _ in range(2))
    own, count = summed_loss(found, targets, smoothing)
    real = targets != PAD
    theirs = cross_entropy(
        wanted[real].float(), targets[real], reduction="sum",
        label_smoothing=smoothing * words / (words - 1),
    )  # fmt: skip
    (own / 7).backward()
    (theirs / 7).backward()
    assert torch.equal(own, theirs) and int(count) == int(real.sum())
    assert found.grad is not None and wanted.grad is not None
    assert torch.equal(found.grad, wanted.grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_step_takes_one_softmax(smoothing: float) -> None:
    module = Fixed(torch.randn(1, 1, 2, 9))
    chosen, none = CrossEntropy(label_smoothing=smoothing), cast(Any, None)
    task, targets = CrossEntropyTask(module, none, none, chosen), torch.tensor([[[5, EOS]]])
    pictures = collate(["1"], [torch.zeros(1, 1)])
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        task.loss(module, Batch(pictures, targets, targets))
    counts = {event.key: event.count for event in profiled.key_averages()}
    assert counts["aten::_log_softmax"] == 1


def test_padding_and_bos_never_count() -> None:
    logits = torch.randn(1, 1, 3, 6, requires_grad=True)
    targets = torch.tensor([[[5, EOS, PAD]]])
    loss, _ = summed_loss(logits, targets)
    loss.backward()
    assert logits.grad is not None
    assert bool((logits.grad[0, 0, 2] == 0).all())
    assert bool((logits.grad[0, 0, 0] != 0).all())
    assert BOS not in targets


class Fixed(torch.nn.Module):
    """Says the same logits of every picture, and looks at the concepts alike."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, pictures: Any, words: torch.Tensor, trace: bool = False) -> Any:
        return (self.logits, None) if trace else self.logits


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_parts_of_the_loss_are_told(smoothing: float, weight: float) -> None:
    """They add up to the loss; NLL is what it would be without smoothing."""
    torch.manual_seed(0)
    module = Fixed(torch.randn(2, 2, 3, 9))
    targets = torch.tensor([[[5, 6, EOS], [7, EOS, PAD]], [[4, EOS, PAD], [PAD, PAD, PAD]]])
    chosen = CrossEntropy(label_smoothing=smoothing)
    object.__setattr__(chosen, "regulariser", weight)
    none: Any = None
    pictures = collate(["1", "2"], [torch.zeros(1, 1)] * 2)
    seven = torch.tensor([3.0, 4.0])
    task = CrossEntropyTask(module, none, none, chosen, lambda trace, mask: seven)
    loss, words = task.loss(module, Batch(pictures, targets, targets))
    assert (task.unit, int(task.told.number), int(words)) == ("captions", 3, 7)
    parts = {name: (float(total), int(by)) for name, (total, by) in task.told.parts.items()}
    names = {"NLL"} | ({"cross-entropy"} if smoothing else set()) | (
        {"regulariser"} if weight else set()
    )  # fmt: skip
    assert parts.keys() == names and {by for _, by in parts.values()} == {7}
    plain, _ = summed_loss(module.logits, targets)
    assert parts["NLL"][0] == float(plain.detach())
    whole = parts["cross-entropy" if smoothing else "NLL"][0] + 7 * weight
    assert float(loss.detach()) == pytest.approx(whole, rel=1e-6)
    if weight:
        assert parts["regulariser"][0] == 7 * weight
    assert not any(total.requires_grad for total, _ in task.told.parts.values())
