"""Tuning a backbone with an extractor on top, as a task that `training.fit` runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from miacap.concepts.evaluation import after_an_epoch, names_after_an_epoch
from miacap.concepts.networks import Beliefs, concept_loss
from miacap.concepts.task import FEW, Statistics
from miacap.parts import WHOLE, Part
from miacap.training import ParameterGroup
from miacap.training.task import NOTHING_TOLD, Told
from miacap.visual.learning import Learning, rows_of
from miacap.visual.photo_batches import PhotoBatches

_FIRST = 512  # photos whose rows say how the extractor's columns are scaled


class TunedExtractor(nn.Module):
    """Photos in, beliefs out: a backbone that learns, and an extractor on the cells of its map.

    Args:
        backbone: B x 3 x H x W to B x V x h x w.
        extractor: of `networks.build`.
    """

    def __init__(self, backbone: Learning, extractor: nn.Module) -> None:
        super().__init__()
        self.backbone, self.extractor = backbone, extractor

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Beliefs:
        """Give the beliefs."""
        rows = rows_of(self.backbone(pixels))
        mask = torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)
        beliefs: Beliefs = self.extractor(rows, mask)
        return beliefs


class PhotoBatch(NamedTuple):
    """Some photos, and which words their captions name."""

    pixels: Float[Tensor, "B 3 H W"]
    targets: Bool[Tensor, "B A"]


class TuningTask:
    """Fit backbone and extractor to the words of captions; a second split picks the weights.

    It does so by mAP, or by log-likelihood where it has fewer than `FEW` pictures.

    Args:
        module: what is trained.
        photos: to learn from.
        targets: of these photos, in the order of `photos.names`.
        dev: photos and targets to choose by; None trains for all epochs and keeps the last.
        rate: the backbone's learning rate, as a part of the extractor's.
        decay: of the backbone's matrices.
    """

    unit = "photos"

    def __init__(
        self,
        module: TunedExtractor,
        photos: PhotoBatches,
        targets: Bool[Tensor, "B A"],
        dev: tuple[PhotoBatches, Bool[Tensor, "D A"]] | None,
        *,
        rate: float = 1.0,
        decay: float | None = None,
    ) -> None:
        self.module = module
        self.watched: str | None = None
        if dev is not None:
            self.watched = "mAP" if len(dev[0].names) >= FEW else "log-likelihood"
        self._photos, self._targets, self._dev = photos, targets, dev
        self._rate, self._decay = rate, decay
        self.told = NOTHING_TOLD

    @property
    def batches_per_epoch(self) -> int:
        """Steps an epoch."""
        return len(self._photos)

    def groups(self) -> Sequence[ParameterGroup]:
        """Give the backbone's parameters a rate and a decay of their own."""
        return [ParameterGroup(list(self.module.backbone.parameters()), self._rate, self._decay)]

    def batches(self, epoch: int, skip: int, part: Part = WHOLE) -> Iterator[PhotoBatch | None]:
        """Give this part of the batches of an epoch from the `skip`-th on."""
        for seen in self._photos.epoch(epoch, skip, part):
            yield None if seen is None else PhotoBatch(seen[1], self._targets[seen[0]])

    def loss(self, module: nn.Module, batch: PhotoBatch) -> tuple[Tensor, int]:
        """Give the summed loss and the number of pictures."""
        self.told = Told(len(batch.targets), {})
        return concept_loss(Beliefs(*module(batch.pixels)), batch.targets), len(batch.targets)

    @property
    def numbers(self) -> Sequence[str]:
        """Names of what `evaluate` gives."""
        return () if self._dev is None else names_after_an_epoch(self._targets.shape[1])

    def evaluate(self) -> Mapping[str, float]:
        """Give mAP, P@10, R@10 and log-likelihood on the second split; nothing without one."""
        if self._dev is None:
            return {}
        photos, targets = self._dev
        return after_an_epoch(probabilities(self.module, photos), targets)


@torch.no_grad()
def probabilities(module: nn.Module, photos: PhotoBatches) -> Float[Tensor, "B A"]:
    """Give P of every word for all photos, seen whole, in float32."""
    module.eval()
    device = next(module.parameters()).device
    return torch.cat(
        [module(pixels.to(device))[0].exp().float().cpu() for _, pixels in photos.ordered()]
    )


@torch.no_grad()
def statistics(backbone: Learning, photos: PhotoBatches) -> Statistics:
    """Give mean and deviation of each column of the rows, over the first photos seen whole."""
    device = next(backbone.parameters()).device
    total = squares = torch.zeros(())
    count = seen = cells = 0
    for indices, pixels in photos.ordered():
        rows = rows_of(backbone(pixels.to(device))).double().cpu()
        cells = rows.shape[1]
        total, squares = total + rows.sum((0, 1)), squares + (rows * rows).sum((0, 1))
        count, seen = count + rows.shape[0] * cells, seen + len(indices)
        if seen >= _FIRST:
            break
    mean = total / count
    deviation = (squares / count - mean * mean).clamp(min=0).sqrt()
    return Statistics(mean.float(), deviation.float(), float(cells))
