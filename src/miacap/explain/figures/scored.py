"""Figure 5: scores of runs over the number of iterations N. [figure:5]

A panel for each metric, a line for each captioner and source; a point for each run, at its own N.
Scores are those of `dev.json`, of the weights that each run kept; or those of the captions of a
split, scored anew (`Rescored`), METEOR with them.
"""

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from miacap import runs
from miacap.errors import RunError
from miacap.explain.figures.drawing import Drawn, canvas
from miacap.files import read_json
from miacap.wording import counted

__all__ = ["METEOR", "METRICS", "Point", "Rescored", "iterations", "points_of"]

METEOR = "METEOR"
METRICS = ("CIDEr-D", "ROUGE-L", METEOR, "BLEU-4")
"""Those of the paper's figure, in its order; what `dev.json` lacks has no panel."""

_NOT_KEPT = (
    "METEOR is left out: a training does not keep it. Give DATA and features "
    "(--data DATA --features FOLDER), and captions are scored anew, METEOR with them."
)
_MARKS = "osD^vPX*"
_TITLE = "Scores over the number of iterations"
_CHANCE = "One run is one draw: without several seeds a rise and a fall may be chance."
_HIGH = 3.0
_ABOVE = 0.5
"""Inches: a row of panels, and what is above them."""


@dataclass(frozen=True)
class Point:
    """A run of the figure."""

    line: str
    """Captioner and source: runs of one line are joined."""
    folder: Path
    name: str
    """Of the run, told apart from the others' (`runs.names_of`)."""
    iterations: int
    """N."""
    scores: Mapping[str, float]
    """By metric."""


@dataclass(frozen=True)
class Rescored:
    """Scores of the runs' captions of a split, in place of those that trainings kept."""

    split: str
    scores: Mapping[Path, Mapping[str, float]]
    """By metric, of each run folder."""
    left_out: str = ""
    """Why METEOR is not among them, and what to do; empty where it is."""


def iterations(
    folders: Sequence[str | os.PathLike[str]], rescored: Rescored | None = None
) -> Drawn:
    """Draw scores over N.

    Args:
        folders: finished runs, at least two different N.
        rescored: scores to draw, from `gathering.rescore`; None takes each run's `dev.json`, which
            has no METEOR.

    Raises:
        RunError: as `points_of`; the runs have no metric in common.
        MissingExtra: matplotlib is not installed.
    """
    points = points_of(folders)
    if rescored is not None:
        points = [replace(point, scores=rescored.scores[point.folder]) for point in points]
    shown = [name for name in METRICS if all(name in point.scores for point in points)]
    if not shown:
        raise RunError(f"The runs' dev.json have none of {', '.join(METRICS)} in common.")
    left_out = _left_out(shown, rescored)
    of_what = (
        "dev scores of the weights that each run kept"
        if rescored is None
        else f"scores of the captions of {rescored.split}"
    )
    return Drawn(
        _panels(points, shown, left_out),
        _TITLE,
        f"Figure 5 of the paper, of {counted(len(points), 'run')}: {of_what}, x 100. {_CHANCE}",
        ("captioner and source", "run", "N", *shown),
        [
            [point.line, point.name, str(point.iterations),
             *(f"{100 * point.scores[name]:.1f}" for name in shown)]
            for point in points
        ],
        [left_out] if left_out else [],
    )  # fmt: skip


def points_of(folders: Sequence[str | os.PathLike[str]]) -> list[Point]:
    """Read the runs of a figure: line by line, each by its N.

    Raises:
        RunError: a run that is not finished or refines nothing, one N alone, or two runs of the
            same captioner, source and N.
    """
    paths = list(dict.fromkeys(map(Path, folders)))  # one that is given twice is one run
    points = list(map(_point, paths, runs.names_of(paths)))
    seen: dict[tuple[str, int], Point] = {}
    for point in points:
        first = seen.setdefault((point.line, point.iterations), point)
        if first is not point:
            raise RunError(
                f"{point.name} and {first.name} are both {point.line} with N = {point.iterations}; "
                "give one of them."
            )
    if len({point.iterations for point in points}) < 2:
        raise RunError(
            "Scores over iterations need runs with different N (--set sizes.iterations=3, or "
            "`miacap reproduce spatial-attention-n3`)."
        )
    lines = list(dict.fromkeys(point.line for point in points))
    return sorted(points, key=lambda point: (lines.index(point.line), point.iterations))


def _left_out(shown: Sequence[str], rescored: Rescored | None) -> str:
    """Say why METEOR is not shown; nothing where it is."""
    if METEOR in shown:
        return ""
    return _NOT_KEPT if rescored is None else rescored.left_out


def _panels(points: Sequence[Point], shown: Sequence[str], left_out: str) -> Any:
    """Draw a panel for each metric; in METEOR's place stands why it is left out."""
    there = [name for name in METRICS if name in shown or (name == METEOR and left_out)]
    lines = list(dict.fromkeys(point.line for point in points))
    columns = min(2, len(there))
    rows = -(-len(there) // columns)
    height = _HIGH * rows + _ABOVE
    figure = canvas(4.2 * columns, height)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    drawn = None
    for place, panel in enumerate(axes):
        if place >= len(there):
            panel.set_axis_off()
        elif there[place] in shown:
            _panel(panel, there[place], points, lines)
            drawn = drawn or panel
        else:
            _absent(panel, there[place], left_out)
    assert drawn is not None
    figure.legend(*drawn.get_legend_handles_labels(), loc="upper center",
                  ncols=min(3, len(lines)), fontsize=8, frameon=False)  # fmt: skip
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / height))
    return figure


def _panel(axes: Any, metric: str, points: Sequence[Point], lines: Sequence[str]) -> None:
    for place, line in enumerate(lines):
        own = [point for point in points if point.line == line]
        axes.plot(
            [point.iterations for point in own],
            [100 * point.scores[metric] for point in own],
            marker=_MARKS[place % len(_MARKS)], linewidth=1.5, markersize=5, label=line,
        )  # fmt: skip
    axes.set_title(metric, fontsize=9)
    axes.set_xlabel("iterations N", fontsize=8)
    axes.set_xticks(sorted({point.iterations for point in points}))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def _absent(axes: Any, metric: str, why: str) -> None:
    axes.set_title(metric, fontsize=9)
    axes.set_axis_off()
    axes.text(0.5, 0.5, textwrap.fill(why, 44), ha="center", va="center", fontsize=8,
              parse_math=False, transform=axes.transAxes)  # fmt: skip


def _point(folder: Path, name: str) -> Point:
    run = runs.load(folder)
    sizes = run.settings.parsed_sizes
    if not _refines(run.settings.source):
        raise RunError(
            f"{folder}: fed {run.settings.source!r}, which refines nothing; Figure 5 is of runs "
            "with a refiner (source=combined, say)."
        )
    file = folder / "dev.json"
    if not file.is_file():
        raise RunError(f"{folder}: not finished (it has no dev.json); train it to its end first.")
    tree = read_json(file)
    scores = tree.get("scores") if isinstance(tree, dict) else None
    if not isinstance(scores, dict):
        raise RunError(f"{file}: not the outcome of a training; copy it again.")
    numbers = {k: float(v) for k, v in scores.items() if isinstance(v, int | float)}
    line = f"{run.settings.captioner}, {run.settings.source}"
    return Point(line, folder, name, int(getattr(sizes, "iterations")), numbers)  # noqa: B009


def _refines(source: str) -> bool:
    return source in ("regions", "concepts", "combined", "both")
