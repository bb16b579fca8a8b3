"""The objective self-critical: make samples likelier that are worth more than a baseline.

    L = - sum_k A_k sum_t log p(w_kt | w_k,<t, picture)      [eq:self-critical]
    A_k = r(w_k) - b_k

    mean      b_k = mean of the other K - 1 rewards    (Luo 2020, "A Better Variant")
    greedy    b_k = reward of the greedy caption       (Rennie et al. 2017)
    beam      b_k = mean of all K rewards, where the w_k are the hypotheses of a beam of K
              (Anderson et al. 2018)

over K captions w_k of each picture: words and the first EOS count, nothing after it. Under mean
and greedy dL is an unbiased estimate of -d E[r], summed over the samples; a beam's hypotheses are
no samples, so that there it is none. A step divides dL by the number of sampled words, which is
itself drawn: that ratio has a small bias, which shrinks as the batch grows. Advantages A_k carry no
gradient. Settings are `runs.SelfCritical`.

The policy p is the one that is sampled: the captioner without dropout, renormalised over the words
that the run's own search allows. `forward` takes its log-probabilities again, equal to those
of the steps that drew up to rounding: in bfloat16 they differ by some 1e-3 a word. With dropout
the steps themselves are differentiated: `forward` would draw another dropout, and so be another
policy than the one that spoke.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from miacap.captioning.reward import SPREAD, Reward
from miacap.data.batches import Batch, Batches
from miacap.decoding import (
    Hypothesis,
    Samples,
    SearchSettings,
    beam,
    greedy,
    policy_log_probabilities,
    sample,
)
from miacap.decoding.hypotheses import at_rest
from miacap.decoding.searching import rules_of
from miacap.metrics.arrays import Floats
from miacap.parts import WHOLE, Part
from miacap.pictures import Pictures
from miacap.runs import SelfCritical
from miacap.runs.objectives import WATCHED
from miacap.text import BOS, EOS, PAD
from miacap.training.tally import PREFIX
from miacap.training.task import NOTHING_TOLD, Example, Told

__all__ = ["SelfCriticalTask", "advantages", "policy_loss"]

_NO_SPREAD = 1e-8
"""Rewards that are equal have a mean that may be off by a rounding."""


@dataclass
class SelfCriticalTask:
    """A captioner that has learned already, its pictures and rewards, for `training.fit`.

    Args:
        module: a captioner; sampled by its steps, called as `module(pictures, words)`.
        train: shuffled batches of the training pictures; captions are not looked at.
        reward: of samples, by the pictures' references.
        evaluation: gives dev scores of the module as it stands.
        search: the run's own; its limit and its rules bind the samples too.
        objective: baseline, samples, dropout.
        watched: the score that decides which weights are best; higher is better.
        evaluated: names of what `evaluation` gives; empty where they are not known.
    """

    module: nn.Module
    train: Batches
    reward: Reward
    evaluation: Callable[[nn.Module], Mapping[str, float]]
    search: SearchSettings
    objective: SelfCritical = SelfCritical()  # noqa: RUF009 - frozen
    watched: str = WATCHED
    evaluated: Sequence[str] = ()
    told: Told = NOTHING_TOLD
    """Samples of the last batch: their rewards, bad endings, and mean log-probability a word."""
    shown: Callable[[], Sequence[Example]] | None = None
    """Gives what the last evaluation said of a few dev pictures."""
    unit = "samples"

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of one epoch."""
        return len(self.train)

    @property
    def numbers(self) -> Sequence[str]:
        """Names of what `evaluate` gives."""
        return (*self.evaluated, *self.reward.numbers) if self.evaluated else ()

    def batches(self, epoch: int, skip: int, part: Part = WHOLE) -> Iterator[Batch | None]:
        """Give this part of the batches of an epoch in its own order, from the `skip`-th on."""
        return self.train.epoch(epoch, skip, part)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give the summed loss of a batch's samples and their number of words and ends.

        Chance comes from torch's global generator, which a checkpoint holds.
        """
        pictures = batch.pictures
        if self.objective.dropout:
            drawn = self._sample(pictures, gradients=True)
            words, gains, mask = drawn.words, drawn.log_probabilities, drawn.mask
        else:
            words = self._hypotheses(pictures)
            mask = words != PAD
            with _at_rest(module):
                gains = _log_probabilities(module, pictures, words, self.search)
        scores = self.reward.scores(pictures.names, words)
        real, count = mask.any(dim=2), mask.sum()
        worth = self._advantages(pictures, self.reward.total(scores), real)
        likely = gains.detach().masked_fill(~mask, 0.0).sum()
        parts = self.reward.told(words, scores, real.cpu().numpy())
        self.told = Told(int(real.sum()), {**parts, "log-probability": (likely, count)})
        return policy_loss(gains, worth, mask), count

    @property
    def examples(self) -> Sequence[Example]:
        """What the captioner said of a few dev pictures."""
        return () if self.shown is None else self.shown()

    def evaluate(self) -> Mapping[str, float]:
        """Give the dev scores, and the rewards of samples of the dev pictures."""
        return {
            **self.evaluation(self.module),
            **self.reward.on_dev(self.module, self.search, self.objective.samples),
        }

    def doubt(self, record: Mapping[str, Any]) -> str | None:
        """Say so where the captions of each picture were all worth as much as the baseline."""
        spread = record.get(PREFIX + SPREAD)
        if self.objective.baseline == "greedy" or spread is None or spread > _NO_SPREAD:
            return None
        beside = self.objective.baseline == "beam"
        other = ", or take --set objective.baseline=mean" if beside else ""
        return (
            "every sample of a picture was worth the same: nothing could be learned; train longer "
            f"by cross-entropy first{other}"
        )

    def _hypotheses(self, pictures: Pictures) -> Int[Tensor, "B K T"]:
        """Give K captions a picture, trimmed to the longest one."""
        width, limit = self.objective.samples, self.search.maximum_words
        if self.objective.baseline != "beam":
            words: Tensor = self._sample(pictures, gradients=False).words
        else:
            module: Any = self.module
            found = beam(module, pictures, width, limit, width, rules_of(self.search))
            words = _as_words(found, width, limit, pictures.regions.device)
        longest = int((words != PAD).any(dim=1).sum(dim=1).max())
        return words[:, :, :longest]

    def _sample(self, pictures: Pictures, gradients: bool) -> Samples:
        module: Any = self.module
        rules = rules_of(self.search)
        number, limit = self.objective.samples, self.search.maximum_words
        return sample(module, pictures, number, limit, rules, gradients=gradients)

    def _advantages(
        self, pictures: Pictures, rewards: Floats, real: Bool[Tensor, "B K"]
    ) -> Float[Tensor, "B K"]:
        own = None
        if self.objective.baseline == "greedy":
            module: Any = self.module
            limit, rules = self.search.maximum_words, rules_of(self.search)
            said = [[caption] for caption in greedy(module, pictures, limit, rules)]
            captions = _as_words(said, 1, limit, real.device)
            own = torch.from_numpy(self.reward.total(self.reward.scores(pictures.names, captions)))
        baseline = self.objective.baseline
        return advantages(torch.from_numpy(rewards), baseline, own, real.cpu()).to(real.device)


def advantages(
    rewards: Float[Tensor, "B K"],
    baseline: str,
    greedy: Float[Tensor, "B 1"] | None = None,
    real: Bool[Tensor, "B K"] | None = None,
) -> Float[Tensor, "B K"]:
    """Say how much more than the baseline each caption is worth. [eq:self-critical]

    Args:
        rewards: of K captions of each picture.
        baseline: "mean", "greedy" or "beam".
        greedy: rewards of the greedy captions, for that baseline.
        real: False where a beam found fewer than K; these are worth 0 and count in no mean.
    """
    if baseline == "greedy":
        assert greedy is not None
        return rewards - greedy
    if real is None:
        real = torch.ones_like(rewards, dtype=torch.bool)
    count = real.sum(dim=1, keepdim=True)
    # From the first one: rewards that are equal give 0 exactly.
    above = (rewards - rewards[:, :1]).masked_fill(~real, 0.0)
    centred = (above - above.sum(dim=1, keepdim=True) / count).masked_fill(~real, 0.0)
    # r_k - mean of the others = (r_k - mean of all) K / (K - 1)
    return centred if baseline == "beam" else centred * (count / (count - 1))


def policy_loss(
    log_probabilities: Float[Tensor, "B K T"],
    advantages: Float[Tensor, "B K"],
    mask: Bool[Tensor, "B K T"],
) -> Float[Tensor, ""]:
    """Sum -A log p over the words that count. [eq:self-critical]"""
    weights = advantages.to(log_probabilities.dtype)[:, :, None]
    return -(weights * log_probabilities.masked_fill(~mask, 0.0)).sum()


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """Switch dropout off, and let gradients flow nevertheless."""
    recurrent = any(isinstance(part, nn.RNNBase) for part in module.modules())
    with at_rest(module), ExitStack() as stack:
        if recurrent:
            # cuDNN has no gradient of a recurrent network in eval mode; torch's own kernels have.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


def _log_probabilities(
    module: nn.Module, pictures: Pictures, words: Int[Tensor, "B K T"], search: SearchSettings
) -> Float[Tensor, "B K T"]:
    """Teacher-force captions: log p of each word under the policy, with gradients."""
    first = torch.full_like(words[:, :, :1], BOS)
    logits = module(pictures, torch.cat([first, words[:, :, :-1]], dim=2))
    return policy_log_probabilities(logits, words, rules_of(search), search.maximum_words)


def _as_words(
    found: Sequence[Sequence[Hypothesis]], width: int, limit: int, device: torch.device
) -> Int[Tensor, "B K T"]:
    """Lay hypotheses out as `Samples` has words; PAD alone where there are fewer than K."""
    words = np.full((len(found), width, limit), PAD, dtype=np.int64)
    for row, hypotheses in zip(words, found, strict=True):
        for place, hypothesis in zip(row, hypotheses, strict=False):
            said = [*hypothesis.words, EOS] if hypothesis.ended else hypothesis.words
            place[: len(said)] = said
    return torch.from_numpy(words).to(device)
