"""A captioner with the backbone that sees for it: both learn, from photos and captions.

rows = cells of backbone(pixels);  logits = captioner(rows, words)    [seeing:rows]
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from miacap.captioning.cross_entropy import CrossEntropyTask
from miacap.captioning.self_critical import SelfCriticalTask
from miacap.data.batches import Batch, Batches
from miacap.parts import WHOLE, Part
from miacap.pictures import Pictures
from miacap.training import ParameterGroup
from miacap.visual.learning import Learning, rows_of
from miacap.visual.photo_batches import PhotoBatches


@dataclass(frozen=True)
class PhotoPictures(Pictures):
    """Pictures whose rows are yet to be seen: `regions` stands for them, without content."""

    pixels: Float[Tensor, "B 3 H W"] | None = None

    def to(self, device: torch.device | str) -> "PhotoPictures":
        """Give the same batch on another device."""
        pixels = None if self.pixels is None else self.pixels.to(device)
        return PhotoPictures(**_fields(super().to(device)), pixels=pixels)


class SeeingCaptioner(nn.Module):
    """A captioner that is shown photos, or rows that were seen before.

    Args:
        backbone: B x 3 x H x W to B x V x h x w.
        captioner: fulfils `captioners.Captioner`, as this does then.
    """

    def __init__(self, backbone: Learning, captioner: nn.Module) -> None:
        super().__init__()
        self.backbone, self.captioner = backbone, captioner

    def forward(self, pictures: Pictures, words: Int[Tensor, "B C T"], trace: bool = False) -> Any:
        """Read whole captions of photos, as the captioner does."""
        return self.captioner(self._seen(pictures), words, trace=trace)

    def encode(self, pictures: Pictures) -> Any:
        """Encode pictures, as the captioner does."""
        encode: Any = self.captioner.encode
        return encode(self._seen(pictures))

    def start(self, memory: Any, hypotheses: int = 1) -> Any:
        """Begin, as the captioner does."""
        start: Any = self.captioner.start
        return start(memory, hypotheses)

    def step(self, memory: Any, state: Any, words: Int[Tensor, "B K"]) -> Any:
        """Go a word further, as the captioner does."""
        step: Any = self.captioner.step
        return step(memory, state, words)

    def _seen(self, pictures: Pictures) -> Pictures:
        if not isinstance(pictures, PhotoPictures) or pictures.pixels is None:
            return pictures
        # Not rounded to half precision, as stored rows are: these have gradients.
        rows = rows_of(self.backbone(pictures.pixels)).float()
        # Training photos may have another size, and so another number of cells, than whole ones.
        every = torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)
        return replace(pictures, regions=rows, region_mask=every, pixels=None)


class SeeingBatches:
    """Batches of photos with their captions.

    Args:
        photos: gives pixels; its `names` are the `ids` of `captioned`.
        captioned: gives captions and concepts.
    """

    def __init__(self, photos: PhotoBatches, captioned: Batches) -> None:
        assert photos.names == captioned.ids
        self._photos, self._captioned = photos, captioned

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._photos)

    def epoch(self, number: int, skip: int = 0, part: Part = WHOLE) -> Iterator[Batch | None]:
        """Give each photo once, as it is seen in this epoch; this part of every batch."""
        for seen in self._photos.epoch(number, skip, part):
            if seen is None:
                yield None
                continue
            indices, pixels = seen
            batch = self._captioned.of(indices)
            pictures = PhotoPictures(**_fields(batch.pictures), pixels=pixels)
            yield replace(batch, pictures=pictures)


@dataclass
class _Seeing:
    """What a task has whose captioner learns with its backbone.

    Args:
        rate: the backbone's learning rate, as a part of the captioner's.
        decay: of the backbone's matrices.
        looking: has the network look at the dev photos, once for all that is evaluated inside.
    """

    rate: float = 1.0
    decay: float | None = None
    looking: Callable[[], AbstractContextManager[None]] = nullcontext

    def groups(self) -> Sequence[ParameterGroup]:
        """Give the backbone's parameters a rate and a decay of their own."""
        module: nn.Module = self.module  # type: ignore[attr-defined]
        assert isinstance(module, SeeingCaptioner)
        return [ParameterGroup(list(module.backbone.parameters()), self.rate, self.decay)]

    def evaluate(self) -> Mapping[str, float]:
        """Give the dev scores, of the network as it is now."""
        with self.looking():
            numbers: Mapping[str, float] = super().evaluate()  # type: ignore[misc]
            return numbers


@dataclass
class SeeingTask(_Seeing, CrossEntropyTask):
    """Cross-entropy of a captioner and its backbone."""


@dataclass
class SeeingSelfCriticalTask(_Seeing, SelfCriticalTask):
    """Self-critical training of a captioner and its backbone.

    The network looks twice at a batch: when captions are drawn, and with gradients.
    """


class SeenRows:
    """Rows of some pictures as a network sees them now, in place of a store.

    Args:
        names: the pictures; those that were not looked at (`see`) have empty rows.
        count: rows a picture.
    """

    def __init__(self, names: Sequence[str], count: int) -> None:
        self._names, self._count = frozenset(names), count
        self._rows: dict[str, Tensor] = {}
        self.set_aside: Mapping[str, str] = {}

    @torch.no_grad()
    def see(self, backbone: Learning, photos: PhotoBatches) -> None:
        """Have the network look at photos; rows are rounded as stored ones are."""
        backbone.eval()
        device = next(backbone.parameters()).device
        for indices, pixels in photos.ordered():
            rows = rows_of(backbone(pixels.to(device))).half().cpu()
            for index, own in zip(indices, rows, strict=True):
                self._rows[photos.names[index]] = own.clone()

    def forget(self) -> None:
        """Let the rows go."""
        self._rows = {}

    def rows_of(self, names: list[str]) -> list[Tensor]:
        """Give the rows of pictures."""
        empty = torch.zeros(self._count, 1, dtype=torch.half)
        return [self._rows.get(name, empty) for name in names]

    def boxes(self, name: str) -> None:
        """Give none: no captioner reads where a region lies."""

    def count(self, name: str) -> int:
        """Give how many rows a picture has."""
        return self._count

    def require(self, names: list[str]) -> None:
        """See that all are known: they are those whose photos were looked at."""
        assert self._names.issuperset(names)


def _fields(pictures: Pictures) -> dict[str, Any]:
    return {field.name: getattr(pictures, field.name) for field in fields(Pictures)}
