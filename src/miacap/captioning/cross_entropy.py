"""The objective cross-entropy: say each word of the reference captions.

    L = - sum_t log p(y_t | y_<t, picture)    [eq:cross-entropy]

over real target words, EOS included, BOS and padding left out. A captioner's own regulariser,
times its weight, is added where the weight is not 0; under scheduled sampling some words that are
read are drawn (scheduled_sampling.py). Its settings are `runs.CrossEntropy`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, nll_loss

from miacap.captioners import Regulariser
from miacap.captioning.scheduled_sampling import scheduled_logits, share
from miacap.data.batches import Batch, Batches
from miacap.parts import WHOLE, Part
from miacap.runs import CrossEntropy
from miacap.runs.objectives import WATCHED
from miacap.text import PAD
from miacap.training.task import NOTHING_TOLD, Example, Told

SMOOTHED = "cross-entropy"

__all__ = ["CrossEntropyTask", "negative_log_likelihood", "summed_loss"]


@dataclass
class CrossEntropyTask:
    """A captioner, its batches, its loss and its evaluation, for `training.fit`.

    Args:
        module: a captioner; called as `module(pictures, words)`.
        train: shuffled batches of the training split with captions.
        evaluation: gives dev scores of the module as it stands.
        objective: label smoothing, and the weight of the regulariser.
        regulariser: of the captioner ([eq:att-fcn-penalty], for one), over the steps that
            predict a word; needed where its weight is not 0.
        watched: the score that decides which weights are best; higher is better.
        numbers: names of what `evaluation` gives; empty where they are not known.
    """

    module: nn.Module
    train: Batches
    evaluation: Callable[[nn.Module], Mapping[str, float]]
    objective: CrossEntropy = CrossEntropy()  # noqa: RUF009 - frozen
    regulariser: Regulariser | None = None
    watched: str = WATCHED
    numbers: Sequence[str] = ()
    epoch: int = 0
    """The epoch whose batches were asked for last."""
    told: Told = NOTHING_TOLD
    """Captions of the last batch; the parts of its loss, a word: NLL, the smoothed cross-entropy
    where there is smoothing, and the regulariser with its weight where there is one."""
    shown: Callable[[], Sequence[Example]] | None = None
    """Gives what the last evaluation said of a few dev pictures."""
    unit = "captions"

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of one epoch."""
        return len(self.train)

    def batches(self, epoch: int, skip: int, part: Part = WHOLE) -> Iterator[Batch | None]:
        """Give this part of the batches of an epoch in its own order, from the `skip`-th on."""
        self.epoch = epoch
        return self.train.epoch(epoch, skip, part)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give the summed loss of a batch and its number of target words."""
        smoothing = self.objective.label_smoothing
        extra = None
        if drawn := share(self.objective, self.epoch):
            logits = scheduled_logits(self.module, batch.pictures, batch.words, drawn)
        elif not self.objective.regulariser:
            logits = module(batch.pictures, batch.words)
        else:
            assert self.regulariser is not None
            logits, trace = module(batch.pictures, batch.words, trace=True)
            extra = self.regulariser(trace, batch.targets != PAD).sum()
        loss, likely, count = _both(logits, batch.targets, smoothing)
        parts = {"NLL": (likely, count)}
        if smoothing:
            parts[SMOOTHED] = (loss, count)
        if extra is not None:
            extra = self.objective.regulariser * extra
            loss = loss + extra
            parts["regulariser"] = (extra, count)
        captions = (batch.targets != PAD).any(2).sum()
        self.told = Told(captions, {n: (total.detach(), w) for n, (total, w) in parts.items()})
        return loss, count

    @property
    def examples(self) -> Sequence[Example]:
        """What the captioner said of a few dev pictures."""
        return () if self.shown is None else self.shown()

    def evaluate(self) -> Mapping[str, float]:
        """Give the dev scores."""
        return self.evaluation(self.module)


def summed_loss(
    logits: Float[Tensor, "B C T W"], targets: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Sum -log p of the target words, in float32, and count them. [eq:cross-entropy]

    Args:
        logits: B x C x T x W.
        targets: B x C x T word ids, PAD where nothing is to be predicted.
        label_smoothing: eps of q = (1 - eps) on the target, eps / (W - 1) elsewhere.
    """
    loss, _, count = _both(logits, targets, label_smoothing)
    return loss, count


def _both(
    logits: Float[Tensor, "B C T W"], targets: Tensor, label_smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Give the loss, what it would be without smoothing, and the number of target words."""
    real = targets != PAD
    chosen = logits[real].float()  # rows without a target never enter the softmax
    wanted = targets[real]
    if not label_smoothing:
        loss = cross_entropy(chosen, wanted, reduction="sum")
        return loss, loss, real.sum()
    words = logits.shape[-1]
    # Smoothing leaves 1 - eps on the target and spreads eps over the other W - 1 words; torch
    # spreads over all W, the target included, which a larger eps makes up for.
    smoothing = label_smoothing * words / (words - 1)
    # These are the steps of torch's own `cross_entropy`, to the bit, which keeps the first sum for
    # itself; asked twice, it would take the softmax twice.
    log_p = log_softmax(chosen, dim=1)
    unsmoothed = nll_loss(log_p, wanted, reduction="sum")
    spread = -log_p.sum(1)
    loss = unsmoothed * (1 - smoothing) + spread.sum() * (smoothing / words)
    return loss, unsmoothed, real.sum()


def negative_log_likelihood(
    module: nn.Module, batches: Iterator[Batch], device: torch.device
) -> float:
    """Mean -log p of the real target words of the reference captions, unsmoothed, in nats."""
    total, count = 0.0, 0
    module.eval()
    with torch.inference_mode():
        for batch in batches:
            logits = module(batch.pictures.to(device), batch.words.to(device))
            loss, weight = summed_loss(logits, batch.targets.to(device))
            total, count = total + float(loss), count + int(weight)
    return total / max(count, 1)
