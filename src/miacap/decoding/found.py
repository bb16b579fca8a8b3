"""What decoding finds, and the rules that all searches share.

PAD, BOS and UNK are never put out. Log-probabilities are log-softmax over all W words, EOS
counts, and banning a word does not renormalise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from miacap.errors import SettingsError
from miacap.text.vocabulary import BOS, PAD, UNK

__all__ = ["BANNED", "Found", "check", "score", "searching"]

BANNED = (PAD, BOS, UNK)


@dataclass(frozen=True)
class Found:
    """One caption as word ids."""

    words: tuple[int, ...]
    """Without BOS and EOS."""
    log_probability: float
    """Natural logarithm, summed over words and, where the caption ended, EOS."""
    ended: bool
    """False where the limit cut it off before EOS."""


def score(logits: Float[Tensor, "*L W"]) -> tuple[Float[Tensor, "*L W"], Float[Tensor, "*L 1"]]:
    """Give logits with banned words at minus infinity, and log sum exp over all words.

    Log-probabilities are their difference; few are wanted, so it is taken only of these.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    total = logits.logsumexp(dim=-1, keepdim=True)
    allowed = logits.clone()
    allowed[..., list(BANNED)] = -torch.inf
    return allowed, total


def check(**numbers: int) -> None:
    """Refuse counts below one; raises SettingsError."""
    for name, number in numbers.items():
        if number < 1:
            raise SettingsError(f"{name} is at least 1, not {number}.")


@contextmanager
def searching(captioner: Any) -> Iterator[None]:
    """Search without gradients and without dropout; leave the captioner as it was."""
    module = captioner if isinstance(captioner, nn.Module) else nn.Module()
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True
