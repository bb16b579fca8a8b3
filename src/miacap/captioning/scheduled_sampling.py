"""Scheduled sampling: sometimes read what oneself would have said, not the reference.

    input of step t = w ~ p(. | inputs before t)  with probability s, else y_{t-1};  t = 2, 3, ...
    s = min(most, increase * floor((epoch - begin) / every)),  and 0 before the epoch `begin`

[train:scheduled-sampling] (Bengio et al. 2015): drawn for each word of each caption from the
distribution of the step before, without PAD, BOS and UNK; no gradient flows through the draw. The
targets stay the references'. Epochs count from 0. The captioner goes word by word, so that a
parallel one (a Transformer) is slower here.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from miacap.decoding.hypotheses import precise, ruled
from miacap.pictures import Pictures
from miacap.runs import CrossEntropy
from miacap.text import PAD

__all__ = ["scheduled_logits", "share"]


def share(objective: CrossEntropy, epoch: int) -> float:
    """Give s of an epoch, counted from 0. [train:scheduled-sampling]"""
    times = max(0, epoch - objective.sampling_begin) // objective.sampling_every
    return min(objective.sampling_most, objective.sampling_increase * times)


def scheduled_logits(
    module: nn.Module, pictures: Pictures, words: Int[Tensor, "B C T"], share: float
) -> Float[Tensor, "B C T W"]:
    """Go through captions word by word, some of them replaced by draws.

    Args:
        module: a captioner; in its own mode, with gradients.
        pictures: B of them.
        words: of the references, BOS first, PAD behind.
        share: s, the probability of a replacement.

    Returns:
        Logits, as `forward` gives them for the words that were read.
    """
    captioner: Any = module
    memory = captioner.encode(pictures)
    state = captioner.start(memory, 1)
    captions, steps = words.shape[1:]
    read, rows = words[:, :1, 0], []
    for time in range(steps):
        logits, state = captioner.step(memory, state, read)
        if time == 0:
            parents = torch.zeros_like(words[:, :, 0])
            state, logits = state.reorder(parents), logits.expand(-1, captions, -1)
        rows.append(logits)
        if time + 1 < steps:
            read = _next(words[:, :, time + 1], logits.detach(), words[:, :, : time + 1], share)
    return torch.stack(rows, dim=2)


def _next(
    words: Int[Tensor, "B C"],
    logits: Float[Tensor, "B C W"],
    before: Int[Tensor, "B C T"],
    share: float,
) -> Int[Tensor, "B C"]:
    """Give the words that the next step reads."""
    replaced = (torch.rand(words.shape, device=words.device) < share) & (words != PAD)
    shares = ruled(precise(logits), before, 0, ()).softmax(dim=-1)
    drawn = torch.multinomial(shares.flatten(0, 1), 1).view(words.shape)
    return torch.where(replaced, drawn, words)
