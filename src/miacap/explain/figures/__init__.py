"""Figures of the paper, drawn from runs of one's own: PNG, SVG, or an HTML page with the numbers.

`alignment` is Figure 4, `iterations` Figure 5, `samples` Table 7; `rescore` and `gather` caption a
split for the last two; `save` writes any of them. Needs the extra [explain]; names are loaded when
they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.explain.figures.aligned import alignment
    from miacap.explain.figures.drawing import Drawn, save
    from miacap.explain.figures.gathering import gather, rescore
    from miacap.explain.figures.sampled import Sample, choose, samples
    from miacap.explain.figures.scored import Rescored, iterations

__all__ = [
    "Drawn",
    "Rescored",
    "Sample",
    "alignment",
    "choose",
    "gather",
    "iterations",
    "rescore",
    "samples",
    "save",
]

_LAZY = {
    "Drawn": "drawing",
    "Rescored": "scored",
    "Sample": "sampled",
    "alignment": "aligned",
    "choose": "sampled",
    "gather": "gathering",
    "iterations": "scored",
    "rescore": "gathering",
    "samples": "sampled",
    "save": "drawing",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.explain.figures' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.explain.figures.{_LAZY[name]}"), name)
