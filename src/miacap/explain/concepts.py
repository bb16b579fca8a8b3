"""Which concepts a run finds in a photo, and where in the photo.

A heat map lays the belief of each region (a grid cell, a detector's box) over the photo: red
where the extractor believes most in the word, the photo in grey where it does not. Each map is
scaled to its own hottest region, whose probability is in the listing; two maps are not compared
by their colours.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from miacap.captioning.inputs import Inputs
from miacap.concepts import Extractor, heat
from miacap.devices import Device
from miacap.errors import RunError, SettingsError
from miacap.files import atomic
from miacap.runs import Run
from miacap.visual import Places, regions_for

__all__ = ["Concept", "heat_map", "show"]

_LONGEST_SIDE = 768
_HOT = (230, 40, 20)
_STRONGEST = 0.75
"""Share of red at the hottest cell; the photo still shows through it."""


@dataclass(frozen=True)
class Concept:
    """One word that the extractor believes in."""

    word: str
    probability: float
    """Of the whole photo."""
    hottest: float | None = None
    """Of the cell that believes most; None where the extractor has no belief per cell."""
    heat_map: Path | None = None
    """The saved picture, where one was wanted."""


def show(
    run: Run,
    photo: Image.Image,
    top: int = 10,
    folder: str | os.PathLike[str] | None = None,
    device: Device = "auto",
    places: Places | None = None,
) -> tuple[Concept, ...]:
    """Give the words that the extractor finds in a photo, best first; ties in its own order.

    Args:
        run: a run folder with a concept extractor.
        photo: an upright RGB photo, from `visual.decode`.
        top: how many words, at most.
        folder: where to save a heat map for each word, as PNG.
        device: where the networks run; "auto" takes a GPU where torch sees one.
        places: where the backbone's weights may be found, besides MIACAP_WEIGHTS and the
            libraries' caches.

    Raises:
        RunError: the run reads no concepts, or heat maps were wanted of an extractor that
            believes in photos as a whole.
        SettingsError: `top` below 1.
    """
    if top < 1:
        raise SettingsError(f"At least 1 word is shown, not {top}.")
    extractor = run.extractor(device)
    if extractor is None and run.concepts is None:
        raise RunError(
            f"{run.folder}: this run reads no concepts; choose one trained with --concepts."
        )
    regions = regions_for(run.preprocessing, device, run.folder, places)
    reads = frozenset(("regions", "scores"))
    inputs = Inputs.of_photos(run, regions, device, reads=reads, places=places)
    assert inputs.regions is not None
    pictures = inputs.live(["photo"], [inputs.regions.prepare(photo)])
    assert pictures.concept_scores is not None and pictures.boxes is not None
    scores, boxes = pictures.concept_scores[0], pictures.boxes[0]
    words = extractor.words if extractor is not None else _words(run, folder is not None)
    cells = None
    if extractor is not None:
        cells = _cells(extractor, pictures.regions[0], wanted=folder is not None)
    shown: list[Concept] = []
    for index in scores.sort(descending=True, stable=True).indices[:top].tolist():
        belief = None if cells is None else cells[:, index]
        hottest = None if belief is None else float(belief.max())
        path = None
        if folder is not None and belief is not None:
            path = _map_path(folder, len(shown) + 1, words[index])
            _save(path, heat_map(photo, belief, boxes))
        shown.append(Concept(words[index], float(scores[index]), hottest, path))
    return tuple(shown)


def _map_path(folder: str | os.PathLike[str], rank: int, word: str) -> Path:
    safe = re.sub(r"[^\w-]", "_", word)  # a word from a file may hold anything
    return Path(folder) / f"{rank:02d}-{safe}.png"


def heat_map(
    photo: Image.Image, belief: Float[Tensor, " N"], boxes: Float[Tensor, "N 4"]
) -> Image.Image:
    """Lay a word's belief over a photo.

    Cells that tile a rectangle are blended into one another; boxes are painted as they are, where
    several lie over one another the strongest belief on top.

    Args:
        photo: RGB.
        belief: probability at each region.
        boxes: each region's x0 y0 x1 y1, relative to the photo.
    """
    photo = photo.copy()
    photo.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    share = belief / belief.max().clamp(min=1e-12) * _STRONGEST
    levels = (share * 255).round().clamp(0, 255).to(torch.uint8)
    columns = columns_of(boxes)
    if columns:
        red = _blended(levels.view(-1, columns), boxes, photo.size)
    else:
        red = _painted(levels, boxes, photo.size)
    grey = ImageEnhance.Brightness(ImageOps.grayscale(photo)).enhance(0.9).convert("RGB")
    return Image.composite(Image.new("RGB", photo.size, _HOT), grey, red)


def columns_of(boxes: Float[Tensor, "N 4"]) -> int:
    """Give the number of columns of a grid's cells in raster order; 0 where boxes are no grid."""
    columns = int((boxes[:, 1] == boxes[0, 1]).sum())
    if len(boxes) % columns:
        return 0
    cells = boxes.view(-1, columns, 4)
    across, down = cells[:1, :, ::2], cells[:, :1, 1::2]
    alike = torch.equal(across.expand_as(cells[..., ::2]), cells[..., ::2]) and torch.equal(
        down.expand_as(cells[..., 1::2]), cells[..., 1::2]
    )
    # Pooled cells may overlap; yet each begins and ends behind the one before.
    rising = bool((across[0].diff(dim=0) > 0).all() and (down[:, 0].diff(dim=0) > 0).all())
    return columns if alike and rising else 0


def _blended(levels: Tensor, boxes: Tensor, size: tuple[int, int]) -> Image.Image:
    """Give the red of cells that tile a rectangle, smooth from cell to cell."""
    seen = Image.frombytes(
        "L", (levels.shape[1], levels.shape[0]), bytes(levels.flatten().tolist())
    )
    left, top, right, bottom = _pixels(boxes, size)
    red = Image.new("L", size)  # nothing outside what the network saw
    sides = (max(1, right - left), max(1, bottom - top))
    red.paste(seen.resize(sides, Image.Resampling.BICUBIC), (left, top))
    return red


def _painted(levels: Tensor, boxes: Tensor, size: tuple[int, int]) -> Image.Image:
    """Give the red of boxes that lie anywhere."""
    red = Image.new("L", size)
    for index in levels.argsort(stable=True).tolist():
        left, top, right, bottom = _pixels(boxes[index : index + 1], size)
        red.paste(int(levels[index]), (left, top, max(right, left + 1), max(bottom, top + 1)))
    return red


def _words(run: Run, heat_maps: bool) -> tuple[str, ...]:
    """Give the words of concepts that no extractor finds; they have no heat maps."""
    assert run.concepts is not None
    if heat_maps:
        raise RunError(
            f"{run.folder}: its concepts are found in the photo as a whole, so that there is no "
            "heat map of a word; leave out --output."
        )
    return run.concepts.words


def _cells(extractor: Extractor, rows: Tensor, wanted: bool) -> Tensor | None:
    """Give every cell's belief in every word (N x A), or None where the extractor has none."""
    if not wanted and extractor.kind != "multiple-instance":
        return None
    return heat(extractor, rows)


def _pixels(boxes: Tensor, size: Sequence[int]) -> tuple[int, int, int, int]:
    corners = torch.cat([boxes[:, :2].amin(0), boxes[:, 2:].amax(0)])
    scaled = (corners * torch.tensor([*size, *size])).round().int().tolist()
    return scaled[0], scaled[1], scaled[2], scaled[3]


def _save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as file:
        image.save(file, "PNG")
