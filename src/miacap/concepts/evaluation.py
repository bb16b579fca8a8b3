"""How good concepts are, beside what their frequencies alone would give.

    AP of a word    sum over its pictures of the precision at the picture's score, by their number;
                    pictures of equal score count together             [eq:average-precision]
    mAP             mean AP of the words that occur in the split
    P@k, R@k        of each picture's k best words: the share that its captions name; the share
                    of the named words among them. Means over pictures that name any.

    log-likelihood  sum over the words of log P where the captions name it, log(1 - P) where
                    they do not; mean over the pictures                [eq:log-likelihood]

The base rate ranks every picture's words by their frequency in the training split: its mAP is
the mean frequency of the words in the split. A mAP of one split is not to be held against that of
another: rare words are in the mean only where they occur, which a larger split has more of. P@k
and R@k can be.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

_LEAST = 1e-7
"""No probability is nearer to 0 or 1, in single precision."""


def average_precision(
    scores: Float[Tensor, "B A"], targets: Bool[Tensor, "B A"]
) -> Float[Tensor, " A"]:
    """Average precision of each word over B pictures; NaN where no picture has the word."""
    values, true = scores.numpy(), targets.numpy()
    pictures, words = values.shape
    precisions = np.full(words, np.nan)
    ranks = np.arange(1, pictures + 1)
    for word in np.flatnonzero(true.any(0)):  # column by column: sorting in place in the cache
        order = np.argsort(-values[:, word], kind="stable")
        sorted_values, hits = values[order, word], true[order, word]
        # The index where each group of equal scores ends.
        last = np.append(sorted_values[1:] != sorted_values[:-1], True)
        ends = np.flatnonzero(last)[np.cumsum(last) - last]
        precision = np.cumsum(hits)[ends] / ranks[ends]
        precisions[word] = precision[hits].mean()
    return torch.from_numpy(precisions).float()


def at_k(scores: Float[Tensor, "B A"], targets: Bool[Tensor, "B A"], k: int) -> tuple[float, float]:
    """Mean precision and recall of each picture's `k` best words; ties by concept index."""
    some = targets.any(1)
    if not bool(some.any()):
        return 0.0, 0.0
    kept, true = scores[some], targets[some]
    best = kept.sort(dim=1, descending=True, stable=True).indices[:, :k]
    hits = true.gather(1, best).sum(1).double()
    return float((hits / best.shape[1]).mean()), float((hits / true.sum(1)).mean())


_BEST = 10
"""Words a picture that are held against its captions after each epoch."""


def measure(
    scores: Float[Tensor, "B A"], targets: Bool[Tensor, "B A"], k: Sequence[int] = (10, 49)
) -> dict[str, float]:
    """Give mAP and P@k, R@k for each `k` (no more than there are words)."""
    precisions = average_precision(scores, targets)
    numbers = {"mAP": float(precisions[~precisions.isnan()].double().mean())}
    if np.isnan(numbers["mAP"]):
        numbers["mAP"] = 0.0
    for number in sorted({min(one, scores.shape[1]) for one in k}):
        precision, recall = at_k(scores, targets, number)
        numbers |= {f"P@{number}": precision, f"R@{number}": recall}
    return numbers


def after_an_epoch(scores: Float[Tensor, "B A"], targets: Bool[Tensor, "B A"]) -> dict[str, float]:
    """Give what a training says of its second split: mAP, P@10, R@10 and log-likelihood."""
    numbers = measure(scores, targets, k=(_BEST,))
    return {**numbers, "log-likelihood": log_likelihood(scores, targets)}


def names_after_an_epoch(words: int) -> tuple[str, ...]:
    """Give the names of what `after_an_epoch` gives for so many words."""
    best = min(_BEST, words)
    return ("mAP", f"P@{best}", f"R@{best}", "log-likelihood")


def log_likelihood(probabilities: Float[Tensor, "B A"], targets: Bool[Tensor, "B A"]) -> float:
    """Give the mean log-likelihood of a picture's words, in nats.  [eq:log-likelihood]

    Every picture and word counts, so that it means something for a handful of pictures too,
    where a word's average precision rests on one or two of them.
    """
    sure = probabilities.double().clamp(_LEAST, 1 - _LEAST)
    return float(torch.where(targets, sure.log(), torch.log1p(-sure)).sum(1).mean())


def base_rate(
    frequencies: Float[Tensor, " A"], targets: Bool[Tensor, "B A"], k: Sequence[int] = (10, 49)
) -> dict[str, float]:
    """Measure what every picture gets without being looked at."""
    return measure(frequencies.expand(len(targets), -1), targets, k)
