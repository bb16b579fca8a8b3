"""What samples are worth: rewards by the references, in training and on the dev pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from miacap.captioning.inputs import Inputs
from miacap.captioning.words import reference_ids
from miacap.decoding import SearchSettings, sample
from miacap.decoding.searching import rules_of
from miacap.metrics.arrays import Flags, Floats, Integers
from miacap.metrics.diversity import BAD_ENDINGS
from miacap.metrics.mixed_rewards import MixedReward
from miacap.runs import SelfCritical
from miacap.text import EOS, PAD, Vocabulary

__all__ = ["REWARDED", "SPREAD", "Reward"]

SPREAD = "reward spread"
"""Mean over pictures of the standard deviation among a picture's samples: what is learned from."""

REWARDED = ("reward", SPREAD)
"""What `Reward.on_dev` gives."""

_PICTURES_PER_SAMPLING = 64


@dataclass(frozen=True)
class Reward:
    """References as word ids, weighed once.

    Attributes:
        mixed: scores samples of training and dev pictures; document frequencies are those of
            the training references.
        inputs: regions and concepts of the dev pictures.
        dev: their names.
        seed: of the samples on the dev pictures, the same at every evaluation.
    """

    mixed: MixedReward
    inputs: Inputs
    dev: tuple[str, ...]
    seed: int
    bad: Integers
    """Ids of the words that end no sentence (`metrics.diversity`)."""

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        captions: Mapping[str, Sequence[str]],
        dev: Mapping[str, Sequence[str]],
        inputs: Inputs,
        objective: SelfCritical,
        seed: int,
    ) -> "Reward":
        """Prepare the references.

        Args:
            vocabulary: of the captioner.
            captions: raw captions of each training picture, whole.
            dev: raw captions of each dev picture.
            inputs: regions and concepts of the dev pictures.
            objective: weights of the metrics, and whether the end is a word.
            seed: of the samples on the dev pictures.
        """
        every = reference_ids(vocabulary, {**captions, **dev})
        mixed = MixedReward(
            {name: every[name] for name in captions},
            objective.rewards,
            others={name: every[name] for name in dev},
            end=objective.end,
        )
        bad = np.array(sorted(vocabulary.id(w) for w in BAD_ENDINGS if w in vocabulary), dtype=int)
        return cls(mixed, inputs, tuple(dev), seed, bad)

    def scores(self, names: Sequence[str], words: Tensor) -> dict[str, Floats]:
        """Score K captions of each of B pictures by each metric: B x K x T word ids -> B x K."""
        return self.mixed.scores(names, words.cpu().numpy())

    def total(self, scores: Mapping[str, Floats]) -> Floats:
        """Give the rewards, B x K: the weighted sum of the scores."""
        return self.mixed.total(scores)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of what `on_dev` gives: of the whole reward and, of several metrics, of each."""
        metrics = self.mixed.weights if len(self.mixed.weights) > 1 else ()
        return (*REWARDED, *(f"{name} {metric}" for metric in metrics for name in REWARDED))

    def told(
        self, words: Tensor, scores: Mapping[str, Floats], real: Flags
    ) -> dict[str, tuple[float, float]]:
        """Give sum and weight of what there is to tell of samples.

        Args:
            words: B x K x T word ids.
            scores: of each metric, B x K.
            real: B x K; False where there is no sample.

        Returns:
            The rewards and, of each picture, their spread; of several metrics those of each; the
            share of samples with a bad ending.
        """
        every = {"": self.total(scores)}
        if len(scores) > 1:
            every |= {f" {metric}": array for metric, array in scores.items()}
        number = real.sum(axis=1)
        each = np.maximum(number, 1)
        parts: dict[str, tuple[float, float]] = {}
        for metric, array in every.items():
            mean = (array * real).sum(axis=1) / each
            squares = ((array - mean[:, None]) ** 2 * real).sum(axis=1) / each
            parts[f"reward{metric}"] = (float(array[real].sum()), float(number.sum()))
            parts[f"{SPREAD}{metric}"] = (float(np.sqrt(squares).sum()), float(len(array)))
        ids = words.cpu().numpy()
        said = (ids != PAD) & (ids != EOS)
        length = said.sum(axis=2)
        last = np.take_along_axis(ids, np.maximum(length - 1, 0)[:, :, None], axis=2)[:, :, 0]
        ends = np.isin(last, self.bad)  # an empty caption has no last word, only its end or nothing
        parts["bad endings"] = (float(ends.sum()), float(number.sum()))
        return parts

    def on_dev(self, module: nn.Module, search: SearchSettings, samples: int) -> dict[str, float]:
        """Give the mean reward of samples of the dev pictures, and their spread."""
        captioner: Any = module
        samples = max(samples, 2)  # one has no spread
        device = next(module.parameters()).device
        generator = torch.Generator(device).manual_seed(self.seed)
        batches = self.inputs.batches(self.dev, batch_size=_PICTURES_PER_SAMPLING)
        found = []
        for batch in batches.ordered():
            pictures = batch.pictures.to(device)
            limit, rules = search.maximum_words, rules_of(search)
            drawn = sample(captioner, pictures, samples, limit, rules, generator)
            found.append(self.scores(pictures.names, drawn.words))
        scores = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        every = [self.total(scores)]
        if len(scores) > 1:
            every += [scores[metric] for metric in self.mixed.weights]
        numbers = [n for one in every for n in (one.mean(), one.std(axis=1).mean())]
        return {name: float(n) for name, n in zip(self.numbers, numbers, strict=True)}
