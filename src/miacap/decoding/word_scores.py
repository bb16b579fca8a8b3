"""How probable each word of captions is that were found already.

    log p(y_t | picture, y_1 ... y_t-1)         the captioner's own, over all W words; EOS counts

The found words are read at once (teacher forcing), so their sum is what the search added up, but
for rounding.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from miacap.captioners.contract import Captioner, M, S
from miacap.decoding.hypotheses import Hypothesis, precise, searching
from miacap.pictures import Pictures
from miacap.text.vocabulary import BOS, EOS, PAD

__all__ = ["word_log_probabilities"]

_LOGITS = 1 << 25
"""Numbers that are held at once: 128 MiB in single precision."""


def word_log_probabilities(
    captioner: Captioner[M, S], pictures: Pictures, captions: Sequence[Sequence[Hypothesis]]
) -> list[list[tuple[float, ...]]]:
    """Give the natural logarithm of each word's probability, and of EOS's where a caption ended.

    Args:
        captioner: anything that fulfils the contract; read in eval mode, no gradients.
        pictures: B of them.
        captions: those of each picture, any number of them.

    Returns:
        For each picture and each of its captions as many numbers as words, and one for EOS.
    """
    steps = [[(*c.words, EOS) if c.ended else c.words for c in row] for row in captions]
    most = max((len(row) for row in steps), default=0)
    longest = max((len(words) for row in steps for words in row), default=0)
    if not longest:
        return [[() for _ in row] for row in steps]
    device = pictures.regions.device
    targets = torch.full((len(steps), most, longest), PAD)
    for b, row in enumerate(steps):
        for c, words in enumerate(row):
            targets[b, c, : len(words)] = torch.tensor(words, dtype=torch.long)
    targets = targets.to(device)
    found: list[list[list[float]]] = [[] for _ in steps]
    together = 1
    at = 0
    with searching(captioner):
        while at < most:
            part, vocabulary = _gains(captioner, pictures, targets[:, at : at + together])
            for b, rows in enumerate(part.tolist()):
                found[b].extend(rows)
            at += together
            together = max(1, _LOGITS // (len(steps) * longest * vocabulary))
    return [
        [tuple(gains[: len(words)]) for gains, words in zip(rows, row, strict=False)]
        for rows, row in zip(found, steps, strict=True)
    ]


def _gains(
    captioner: Captioner[M, S], pictures: Pictures, targets: Int[Tensor, "B C T"]
) -> tuple[Float[Tensor, "B C T"], int]:
    """Read C captions a picture; give log p of their words, and how many words there are."""
    before = torch.nn.functional.pad(targets[:, :, :-1], (1, 0), value=BOS)
    logits = captioner.forward(pictures, before)
    assert isinstance(logits, Tensor)
    logits = precise(logits)
    chosen = logits.gather(3, targets.unsqueeze(3)).squeeze(3)
    return chosen.double() - logits.logsumexp(dim=-1).double(), logits.shape[3]
