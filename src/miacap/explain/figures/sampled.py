"""Table 7: photos with their concepts, a reference, and the caption of every run. [table:7]

The rule: pictures are ranked by the mean of all runs' CIDEr-D; shown are the best, the median and
the worst one, and so on for more. Nobody chooses by hand.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from miacap.errors import DataError
from miacap.explain.figures.drawing import Drawn, canvas, small_photo
from miacap.explain.record import Photograph

__all__ = ["Sample", "choose", "samples"]

RULE = (
    "Chosen by rule: the pictures with the best, the median and the worst mean CIDEr-D of all "
    "runs shown; ties in the order of the data."
)
_WIDE = 84
"""Letters of a line beside a photo."""


@dataclass(frozen=True)
class Sample:
    """One picture of the table."""

    rank: str
    """"best", "median", "worst"."""
    photo: Photograph
    score: float
    """Mean CIDEr-D of the runs."""
    concepts: tuple[tuple[str, float], ...]
    """The most probable ones, with their probability; empty where no run finds any."""
    reference: str
    captions: Mapping[str, str]
    """By name of run."""


def choose(scores: Mapping[str, float]) -> dict[str, str]:
    """Give the pictures with the best, the median and the worst score, by rank.

    Args:
        scores: of each picture; ties stay in this order.

    Raises:
        DataError: fewer than three pictures.
    """
    if len(scores) < 3:
        raise DataError(f"Best, median and worst need three pictures, and there are {len(scores)}.")
    order = sorted(scores, key=lambda name: -scores[name])
    return {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}


def samples(found: Sequence[Sample], title: str = "Captions of different sources") -> Drawn:
    """Draw the table.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    texts = [_lines(sample) for sample in found]
    heights = [max(2.4, 0.2 * len(lines) + 0.3) for lines in texts]
    figure = canvas(9.0, sum(heights) + 0.2)
    grid = figure.add_gridspec(
        len(found), 2, width_ratios=(1, 1.75), height_ratios=heights,
        left=0.02, right=0.99, top=0.98, bottom=0.02, wspace=0.04, hspace=0.08,
    )  # fmt: skip
    for place, (sample, lines) in enumerate(zip(found, texts, strict=True)):
        picture = figure.add_subplot(grid[place, 0])
        picture.imshow(small_photo(sample.photo), interpolation="none")
        picture.set_axis_off()
        beside = figure.add_subplot(grid[place, 1])
        beside.set_axis_off()
        _write(beside, lines, heights[place])
    names = list(dict.fromkeys(name for sample in found for name in sample.captions))
    return Drawn(
        figure,
        title,
        RULE,
        ("rank", "picture", "CIDEr-D", "concepts", "reference", *names),
        [
            [sample.rank, sample.photo.name, f"{sample.score:.3f}", _concepts(sample),
             sample.reference, *(sample.captions.get(name, "") for name in names)]
            for sample in found
        ],
    )  # fmt: skip


def _concepts(sample: Sample) -> str:
    return ", ".join(f"{word} {100 * share:.0f} %" for word, share in sample.concepts) or "none"


def _lines(sample: Sample) -> list[tuple[str, bool]]:
    """Give the lines beside a photo, and whether each begins something."""
    parts = [
        f"{sample.rank}: mean CIDEr-D {sample.score:.2f}",
        f"concepts: {_concepts(sample)}",
        f"reference: {sample.reference}",
        *(f"{name}: {text}" for name, text in sample.captions.items()),
    ]
    lines: list[tuple[str, bool]] = []
    for part in parts:
        for number, line in enumerate(textwrap.wrap(part, _WIDE) or [""]):
            lines.append((line, number == 0))
    return lines


def _write(axes: Any, lines: Sequence[tuple[str, bool]], height: float) -> None:
    step = 0.2 / height
    for place, (line, begins) in enumerate(lines):
        axes.text(
            0.0 if begins else 0.03, 0.98 - place * step, line, va="top", fontsize=8,
            weight="bold" if place == 0 else "normal", parse_math=False, transform=axes.transAxes,
        )  # fmt: skip
