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
from miacap.metrics.arrays import Floats
from miacap.metrics.mixed_rewards import MixedReward
from miacap.runs import SelfCritical
from miacap.text import Vocabulary

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
        return cls(mixed, inputs, tuple(dev), seed)

    def __call__(self, names: Sequence[str], words: Tensor) -> Floats:
        """Reward K captions of each of B pictures: B x K x T word ids -> B x K."""
        return self.mixed(names, words.cpu().numpy())

    def on_dev(self, module: nn.Module, search: SearchSettings, samples: int) -> dict[str, float]:
        """Give the mean reward of samples of the dev pictures, and their spread."""
        captioner: Any = module
        samples = max(samples, 2)  # one has no spread
        device = next(module.parameters()).device
        generator = torch.Generator(device).manual_seed(self.seed)
        batches = self.inputs.batches(self.dev, batch_size=_PICTURES_PER_SAMPLING)
        rewards = []
        for batch in batches.ordered():
            pictures = batch.pictures.to(device)
            limit, rules = search.maximum_words, rules_of(search)
            drawn = sample(captioner, pictures, samples, limit, rules, generator)
            rewards.append(self(pictures.names, drawn.words))
        every = np.concatenate(rewards)
        return {"reward": float(every.mean()), SPREAD: float(every.std(axis=1).mean())}
