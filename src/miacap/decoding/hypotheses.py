"""Captions as word ids, and what all searches share.

PAD, BOS and UNK are never put out. A search chooses by the captioner's own log-probabilities:
log-softmax over all W words, EOS counts, and forbidding a word does not renormalise.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from miacap.decoding.rules import Rule
from miacap.errors import RunError
from miacap.pictures import Pictures
from miacap.text.vocabulary import BOS, PAD, UNK

__all__ = [
    "BANNED",
    "Hypothesis",
    "at_rest",
    "check_finite",
    "no_word_left",
    "precise",
    "ruled",
    "searching",
]

BANNED = (PAD, BOS, UNK)


@dataclass(frozen=True)
class Hypothesis:
    """One caption as word ids."""

    words: tuple[int, ...]
    """Without BOS and EOS."""
    log_probability: float
    """Natural logarithm, summed over words and, where the caption ended, EOS."""
    ended: bool
    """False where the limit cut it off before EOS."""

    def score(self, length_penalty: float = 0.0) -> float:
        """Give what beam search compares finished captions by: log p / length^a.

        The length counts the words and, where the caption ended, EOS; a is the penalty.
        """
        length = len(self.words) + self.ended
        return self.log_probability / float(max(length, 1) ** length_penalty)


def precise(logits: Float[Tensor, "*L W"]) -> Float[Tensor, "*L W"]:
    """Give logits in single precision, or in double where they come so: for softmax and sums."""
    return logits if logits.dtype == torch.float64 else logits.float()


def ruled(
    logits: Float[Tensor, "B K W"],
    words: Int[Tensor, "B K T"],
    remaining: int,
    rules: Sequence[Rule],
) -> Float[Tensor, "B K W"]:
    """Put the banned words at minus infinity, then apply the rules in their order.

    Args:
        logits: of the next word; from `precise`.
        words: the words so far, without BOS.
        remaining: the steps that may follow this one.
        rules: each reads what the one before it left.
    """
    allowed = logits.clone()
    allowed[..., list(BANNED)] = -torch.inf
    for rule in rules:
        allowed = rule(allowed, words, remaining)
    return allowed


def no_word_left(allowed: Float[Tensor, "B K W"]) -> Bool[Tensor, "B K"]:
    """Say for which hypotheses the rules forbid every word and EOS."""
    return (allowed == -torch.inf).all(dim=-1)


def check_finite(logits: Float[Tensor, "B K W"], pictures: Pictures) -> None:
    """Refuse logits that give no probabilities (NaN, infinite); raises RunError."""
    whole = logits.logsumexp(dim=-1).isfinite().all(dim=1)
    if not bool(whole.all()):
        name = pictures.names[int((~whole).nonzero()[0])]
        raise RunError(
            f"The captioner gives {name!r} no probabilities (its numbers are NaN or infinite): "
            "its weights or the picture's features are damaged; take them from a whole copy."
        )


@contextmanager
def at_rest(captioner: Any) -> Iterator[None]:
    """Switch dropout off inside, and leave the captioner as it was."""
    module = captioner if isinstance(captioner, nn.Module) else nn.Module()
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def searching(captioner: Any) -> Iterator[None]:
    """Search without gradients and without dropout; leave the captioner as it was."""
    try:
        with at_rest(captioner), torch.no_grad():
            yield
    finally:
        # Under autocast, torch before 2.11 keeps the weights as they were cast here, without a
        # history, and a forward pass that follows would give them no gradient (PyTorch #65766).
        torch.clear_autocast_cache()
