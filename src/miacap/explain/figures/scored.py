"""Figure 5: scores of runs over the number of iterations N. [figure:5]

A panel for each metric, a line for each captioner and source; a point for each run, at its own N.
Scores are those of `dev.json`, of the weights that each run kept.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miacap import runs
from miacap.errors import RunError
from miacap.explain.figures.drawing import Drawn, canvas
from miacap.files import read_json
from miacap.wording import counted

__all__ = ["iterations"]

METRICS = ("CIDEr-D", "ROUGE-L", "METEOR", "BLEU-4")
"""Those of the paper's figure, in its order; what `dev.json` lacks has no panel."""

_MARKS = "osD^vPX*"


@dataclass(frozen=True)
class _Point:
    line: str
    run: str
    iterations: int
    scores: Mapping[str, float]


def iterations(folders: Sequence[str | os.PathLike[str]]) -> Drawn:
    """Draw scores over N.

    Args:
        folders: finished runs, at least two different N.

    Raises:
        RunError: a run that is not finished or refines nothing, one N alone, or two runs of the
            same captioner, source and N.
        MissingExtra: matplotlib is not installed.
    """
    points = [_point(Path(folder)) for folder in folders]
    seen: dict[tuple[str, int], str] = {}
    for point in points:
        first = seen.setdefault((point.line, point.iterations), point.run)
        if first != point.run:
            raise RunError(
                f"{point.run} and {first} are both {point.line} with N = {point.iterations}; "
                "give one of them."
            )
    if len({point.iterations for point in points}) < 2:
        raise RunError(
            "Scores over iterations need runs with different N (--set sizes.iterations=3, or "
            "`miacap reproduce spatial-attention-n3`)."
        )
    shown = [name for name in METRICS if all(name in point.scores for point in points)]
    if not shown:
        raise RunError(f"The runs' dev.json have none of {', '.join(METRICS)} in common.")
    lines = list(dict.fromkeys(point.line for point in points))
    columns = min(2, len(shown))
    high = -(-len(shown) // columns)
    figure = canvas(4.2 * columns, 3.0 * high + 0.5)
    axes = figure.subplots(high, columns, squeeze=False)
    for place, panel in enumerate(axes.flat):
        if place >= len(shown):
            panel.set_axis_off()
            continue
        _panel(panel, shown[place], points, lines)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="upper center",
                  ncols=min(3, len(lines)), fontsize=8, frameon=False)  # fmt: skip
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / (3.0 * high + 0.5)))
    ordered = sorted(points, key=lambda point: (lines.index(point.line), point.iterations))
    return Drawn(
        figure,
        "Scores over the number of iterations",
        f"Figure 5 of the paper, of {counted(len(points), 'run')}: dev scores of the weights that "
        "each run kept, x 100. One run is one draw: without several seeds a rise and a fall may "
        "be chance.",
        ("captioner and source", "run", "N", *shown),
        [
            [point.line, point.run, str(point.iterations),
             *(f"{100 * point.scores[name]:.1f}" for name in shown)]
            for point in ordered
        ],
    )  # fmt: skip


def _panel(axes: Any, metric: str, points: Sequence[_Point], lines: Sequence[str]) -> None:
    for place, line in enumerate(lines):
        own = sorted((p for p in points if p.line == line), key=lambda p: p.iterations)
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


def _point(folder: Path) -> _Point:
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
    return _Point(line, folder.name, int(getattr(sizes, "iterations")), numbers)  # noqa: B009


def _refines(source: str) -> bool:
    return source in ("regions", "concepts", "combined", "both")
