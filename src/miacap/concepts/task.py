"""Training an extractor, as a task that `training.fit` runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from miacap.concepts.evaluation import after_an_epoch, names_after_an_epoch
from miacap.concepts.networks import Beliefs, Head, concept_loss
from miacap.data.store import FeatureStore
from miacap.errors import RunError
from miacap.parts import WHOLE, Part
from miacap.pictures import collate
from miacap.training.task import NOTHING_TOLD, Told

FEW = 25
"""With fewer pictures mAP goes by chance: most words are in one or two of them."""


def require_regions(store: FeatureStore) -> None:
    """Refuse a store of concept scores where regions are wanted. Raises RunError."""
    if store.kind != "regions":
        raise RunError(
            f"{store.folder}: holds {store.kind}, no regions; give the folder that "
            "`miacap features` filled."
        )


class Rows:
    """The region rows of some pictures, read from their store batch by batch.

    Args:
        store: of regions.
        names: the pictures.
        pooled: keep one mean row of each picture, in memory, in place of its rows.
    """

    def __init__(self, store: FeatureStore, names: Sequence[str], pooled: bool = False) -> None:
        store.require(list(names))
        self.names = tuple(names)
        self._store = store
        self._means: dict[str, Tensor] | None = None
        if pooled:
            self._means = {name: store.rows(name).float().mean(0)[None] for name in names}

    def __len__(self) -> int:
        return len(self.names)

    def read(self, indices: Sequence[int]) -> tuple[Float[Tensor, "B N V"], Bool[Tensor, "B N"]]:
        """Give the rows of the pictures at these indices, padded, with their mask."""
        names = [self.names[index] for index in indices]
        if self._means is not None:
            rows = torch.stack([self._means[name] for name in names])
            return rows, torch.ones(rows.shape[:2], dtype=torch.bool)
        pictures = collate(names, self._store.rows_of(names))
        return pictures.regions, pictures.region_mask

    def statistics(self) -> "Statistics":
        """Give mean and deviation of each column over all rows, and the rows a picture has."""
        total = torch.zeros(self._store.manifest.width, dtype=torch.float64)
        squares, count = torch.zeros_like(total), 0
        for name in self.names:
            rows = (self._means[name] if self._means else self._store.rows(name)).float()
            total += rows.sum(0)
            squares += (rows * rows).sum(0)
            count += len(rows)
        mean = total / count
        deviation = (squares / count - mean * mean).clamp(min=0).sqrt()
        return Statistics(mean.float(), deviation.float(), count / len(self.names))


class Statistics(NamedTuple):
    """Columns of region rows at a glance."""

    mean: Float[Tensor, " V"]
    deviation: Float[Tensor, " V"]
    rows: float
    """Mean number of rows a picture."""


class ConceptBatch(NamedTuple):
    """Some pictures' rows and which words their captions name."""

    rows: Float[Tensor, "B N V"]
    mask: Bool[Tensor, "B N"]
    targets: Bool[Tensor, "B A"]


class ExtractorTask:
    """Fit an extractor to the words of captions; a second split picks the weights.

    It does so by mAP, or by log-likelihood where it has fewer than `FEW` pictures.

    Args:
        module: an extractor of `networks.build`.
        rows, targets: of the pictures to learn from.
        dev: rows and targets to choose by; None trains for all epochs and keeps the last.
        batch_size: pictures a step.
        seed: of the order.
    """

    unit = "pictures"

    def __init__(
        self,
        module: nn.Module,
        rows: Rows,
        targets: Bool[Tensor, "B A"],
        dev: tuple[Rows, Bool[Tensor, "D A"]] | None,
        *,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        self.module = module
        self.watched: str | None = None
        if dev is not None:
            self.watched = "mAP" if len(dev[0]) >= FEW else "log-likelihood"
        self._rows, self._targets, self._dev = rows, targets, dev
        self._batch_size, self._seed = batch_size, seed
        self.told = NOTHING_TOLD

    @property
    def batches_per_epoch(self) -> int:
        """Steps an epoch."""
        return -(-len(self._rows) // self._batch_size)

    def batches(self, epoch: int, skip: int, part: Part = WHOLE) -> Iterator[ConceptBatch | None]:
        """Give this part of the batches of an epoch, drawn by seed and epoch."""
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._rows)).tolist()
        for start in range(skip * self._batch_size, len(order), self._batch_size):
            indices = list(part.of(order[start : start + self._batch_size]))
            if not indices:
                yield None
                continue
            yield ConceptBatch(*self._rows.read(indices), self._targets[indices])

    def loss(self, module: nn.Module, batch: ConceptBatch) -> tuple[Tensor, int]:
        """Give the summed loss and the number of pictures."""
        self.told = Told(len(batch.targets), {})
        beliefs = Beliefs(*module(batch.rows, batch.mask))
        return concept_loss(beliefs, batch.targets), len(batch.targets)

    @property
    def numbers(self) -> Sequence[str]:
        """Names of what `evaluate` gives."""
        return () if self._dev is None else names_after_an_epoch(self._targets.shape[1])

    def evaluate(self) -> Mapping[str, float]:
        """Give mAP, P@10, R@10 and log-likelihood on the second split; nothing without one."""
        if self._dev is None:
            return {}
        rows, targets = self._dev
        return after_an_epoch(probabilities(self.module, rows), targets)


def begin(
    module: nn.Module, statistics: Statistics, targets: Bool[Tensor, "B A"], noisy_or: bool
) -> None:
    """Give an untrained extractor the columns' scale and the words' frequencies."""
    head = module.head
    assert isinstance(head, Head)
    head.standardise(statistics.mean, statistics.deviation)
    head.begin_at(smoothed(targets), statistics.rows if noisy_or else 1.0)


def smoothed(targets: Bool[Tensor, "B A"]) -> Float[Tensor, " A"]:
    """Give the words' frequencies with half a picture more on both sides: none is 0 or 1."""
    return (targets.sum(0) + 0.5) / (len(targets) + 1.0)


@torch.no_grad()
def probabilities(module: nn.Module, rows: Rows, batch_size: int = 128) -> Float[Tensor, "B A"]:
    """Give P of every word for all pictures, in float32."""
    module.eval()
    device = next(module.parameters()).device
    scores = []
    for start in range(0, len(rows), batch_size):
        matrix, mask = rows.read(range(start, min(start + batch_size, len(rows))))
        scores.append(module(matrix.to(device), mask.to(device))[0].exp().float().cpu())
    return torch.cat(scores)
