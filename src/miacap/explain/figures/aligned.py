"""Figure 4: what rows of regions and concepts are made of after each iteration. [figure:4]

A row of pictures for each pair, a column for each iteration n = 0 .. N. Colour over the photo is
the share of each region in the pair's regions, on the fixed scale of the page; bars below are its
concepts with the largest shares. Of boxes that lie over one another the strongest gives
the colour, and the one with the largest share is outlined.

The paper's figure begins with the first iteration. Before it (n = 0) nothing has attended yet and
there are no shares: the region of the pair is outlined, and its concept is named.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from miacap.errors import RunError, SettingsError
from miacap.explain.figures.drawing import Drawn, canvas, small_photo
from miacap.explain.page import SCALE
from miacap.explain.record import Array, Record, Refinement
from miacap.wording import counted

__all__ = ["alignment", "usual_rows"]

_COLOURS = ("#d7301f", "#2166ac", "#1a9850", "#8a3ffc", "#b35806")
_DEEPEST = 0.85
"""Of the colour over the photo."""
_USUAL = 3
_CONCEPTS = 5
_MOST = 8
"""Iterations that are drawn, at most."""
_LEAST = 0.0005
"""A smaller share would be written as 0.0 %, and is left out."""
_NO_SHARES = "no attention yet"


def usual_rows(look: Record) -> tuple[int, ...]:
    """Choose three pairs: those whose concepts the caption says, then the most probable ones.

    Where rows follow the regions, they are those that the caption's words attended to most.
    """
    assert look.refinement is not None
    last = look.refinement.concepts[-1]
    count = len(look.concepts)
    if last is not None and len(last) != count and look.attended:
        shares = look.attended[0].weights.sum(axis=0)
        return tuple(int(row) for row in (-shares).argsort(kind="stable")[:_USUAL])
    said = {word.text for word in look.words}
    order = sorted(range(count), key=lambda index: look.concepts[index].word not in said)
    return tuple(order[:_USUAL])


def alignment(look: Record, rows: Sequence[int] | None = None) -> Drawn:
    """Draw Figure 4 for one photo.

    Args:
        look: of a run whose source refines regions and concepts.
        rows: pairs, counted from 0; None takes `usual_rows`.

    Raises:
        RunError: the run refines nothing.
        SettingsError: a pair that is not there.
        MissingExtra: matplotlib is not installed.
    """
    refined = look.refinement
    if refined is None:
        raise RunError(
            f"{'+'.join(look.runs)}: fed {look.source!r}, nothing is refined, so there are no "
            "iterations to draw; choose a run with source=combined, say."
        )
    wanted = usual_rows(look) if rows is None else _checked(refined, rows)
    figure, table = _panels(look, wanted, _steps(refined.iterations))
    return Drawn(
        figure,
        f"What rows are made of after each iteration: {_name(look)}",
        "Figure 4 of the paper for one photo: shares of the original regions (colour, full from "
        f"{SCALE} times an even share on) and concepts (bars, up to 1) in a row of the refiner "
        "after n iterations, accumulated with r = 0.5. Before the first iteration (n = 0) nothing "
        "has attended yet: the pair's own region is outlined and its own concept named.",
        ("row of the refiner", "iteration", "region with the largest share",
         "concepts with the largest shares"),
        table,
    )  # fmt: skip


def _checked(refined: Refinement, rows: Sequence[int]) -> tuple[int, ...]:
    """Give the wanted rows. Raises SettingsError where one is not there."""
    most = max(len(m) for m in (refined.regions[-1], refined.concepts[-1]) if m is not None)
    for row in rows:
        if not 0 <= row < most:
            raise SettingsError(f"There is no row {row + 1}: there are {counted(most, 'row')}.")
    return tuple(rows)


def _panels(look: Record, rows: Sequence[int], steps: Sequence[int]) -> tuple[Any, list[list[str]]]:
    """Draw a photo and its bars for each row and iteration; give the figure and its numbers."""
    photo = small_photo(look.photo, grey=True)
    high = 2.5 * min(2.0, photo.shape[0] / photo.shape[1])  # of a photo, in inches
    height = (high + 1.75) * len(rows)
    figure = canvas(2.6 * len(steps) + 0.2, height)
    grid = figure.add_gridspec(
        2 * len(rows), len(steps), height_ratios=(high, 1.2) * len(rows),
        left=0.03, right=0.98, top=1 - 0.3 / height, bottom=0.1 / height,
        hspace=0.25, wspace=0.08,
    )  # fmt: skip
    table = []
    for place, row in enumerate(rows):
        colour = _COLOURS[place % len(_COLOURS)]
        for column, n in enumerate(steps):
            top = figure.add_subplot(grid[2 * place, column])
            below = figure.add_subplot(grid[2 * place + 1, column])
            _regions(top, look, photo, n, row, colour)
            told = _concepts(below, look, n, row, colour)
            name = _row_name(look, row)
            when = f"iteration {n}" if n else "before iteration 1"
            top.set_title(f"{name}: {when}", fontsize=8, parse_math=False)
            table.append([name, str(n), _most_region(look, n, row), told])
    return figure, table


def _name(look: Record) -> str:
    return look.photo.name.replace("\\", "/").rpartition("/")[2]


def _steps(iterations: int) -> list[int]:
    """Give the iterations that are drawn: all, or some of many with the first and the last."""
    if iterations < _MOST:
        return list(range(iterations + 1))
    return sorted({round(iterations * index / (_MOST - 1)) for index in range(_MOST)})


def _row_of(matrices: Sequence[Any], n: int, row: int) -> Any:
    matrix = matrices[n]
    return None if matrix is None or row >= len(matrix) else matrix[row]


def _is_own(matrices: Sequence[Any], row: int) -> bool:
    """Whether a row begins as the region (or concept) of its number.

    It does not where a stream takes over the rows of the other one, of which there are more or
    fewer.
    """
    first, last = matrices[0], matrices[-1]
    return first is not None and last is not None and row < len(first) == len(last)


def _row_name(look: Record, row: int) -> str:
    """Name a row by what it is before the first iteration."""
    assert look.refinement is not None
    of_region = _is_own(look.refinement.regions, row)
    if _is_own(look.refinement.concepts, row):
        kind, name = "pair" if of_region else "concept", look.concepts[row].word
    elif of_region:
        kind, name = "region", look.region_name(row).partition(":")[0]
    else:
        return f"row {row + 1}"
    return f"{kind} {row + 1} ({name})"


def _regions(axes: Any, look: Record, photo: Any, n: int, row: int, colour: str) -> None:
    assert look.refinement is not None
    height, width = photo.shape[:2]
    axes.imshow(photo, interpolation="none")
    axes.set_axis_off()
    boxes = look.boxes * (width, height, width, height)
    if n == 0 and _is_own(look.refinement.regions, row):
        _rectangle(axes, boxes[row], fill=False, edgecolor=colour, linewidth=1.2, clip_on=False)
        return
    shares = _row_of(look.refinement.regions, n, row) if n else None
    if shares is None:
        axes.text(width / 2, height / 2, _NO_SHARES, ha="center", fontsize=7,
                  color="white", backgroundcolor="black")  # fmt: skip
        return
    depths = _DEEPEST * np.minimum(1.0, shares * len(shares) / SCALE)
    if look.columns:
        for box, depth in zip(boxes, depths, strict=True):
            _rectangle(axes, box, facecolor=colour, alpha=float(depth), linewidth=0)
        return
    axes.imshow(_strongest(boxes, depths, (height, width), colour), interpolation="none")
    best = boxes[int(shares.argmax())]
    _rectangle(axes, best, fill=False, edgecolor=colour, linewidth=1.2, clip_on=False)


def _rectangle(axes: Any, box: Array, **look: Any) -> None:
    from matplotlib.patches import Rectangle

    x0, y0, x1, y1 = map(float, box)
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **look))


def _strongest(boxes: Array, depths: Array, size: tuple[int, int], colour: str) -> Array:
    """Paint boxes that lie over one another: each place as deep as its strongest box.

    Args:
        boxes: R x 4, x0 y0 x1 y1 in pixels.
        depths: R, how deep each one's colour is, 0 to 1.
        size: H, W in pixels.
        colour: of all.

    Returns:
        H x W x 4: red, green, blue, and how deep.
    """
    from matplotlib.colors import to_rgb

    painted = np.zeros((*size, 4), np.float32)
    painted[..., :3] = to_rgb(colour)
    for box, depth in zip(boxes, depths, strict=True):
        x0, y0, x1, y1 = (int(side) for side in np.rint(box))
        place = painted[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1), 3]
        np.maximum(place, depth, out=place)
    return painted


def _concepts(axes: Any, look: Record, n: int, row: int, colour: str) -> str:
    assert look.refinement is not None
    axes.set_xlim(0, 1)
    axes.set_ylim(_CONCEPTS - 0.4, -0.6)
    axes.set_axis_off()
    shares = _row_of(look.refinement.concepts, n, row) if n else None
    if shares is None:
        own = n == 0 and _is_own(look.refinement.concepts, row)
        told = f"{look.concepts[row].word}: {_NO_SHARES}" if own else _NO_SHARES
        axes.text(0.01, 0, told, va="center", fontsize=7, parse_math=False)
        return told
    order = map(int, (-shares).argsort(kind="stable")[:_CONCEPTS])
    best = [index for index in order if shares[index] >= _LEAST]
    parts = [f"{look.concepts[index].word} {100 * shares[index]:.1f} %" for index in best]
    for place, index in enumerate(best):
        axes.barh(place, shares[index], height=0.8, color=colour, alpha=0.35)
        axes.text(0.01, place, parts[place], va="center", fontsize=7, parse_math=False)
    return ", ".join(parts)


def _most_region(look: Record, n: int, row: int) -> str:
    assert look.refinement is not None
    if n == 0 and _is_own(look.refinement.regions, row):
        return f"{look.region_name(row)}: {_NO_SHARES}"
    shares = _row_of(look.refinement.regions, n, row) if n else None
    if shares is None:
        return _NO_SHARES
    best = int(shares.argmax())
    return f"{look.region_name(best)} ({100 * shares[best]:.1f} %)"
