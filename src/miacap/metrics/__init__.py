"""Caption metrics without Java: BLEU, METEOR, ROUGE-L, CIDEr-D and SPICE as COCO computes them.

Score with `score(references, candidates)`, compare two systems with `comparisons`, reward
samples with `rewards`, ask how well a metric follows people with `judgements`, hold captions
against two captioners that see nothing (`blind`), and stand in for pycocoevalcap with `pycoco`.
Files are read by `read_references` and `read_candidates`; `score` takes paths as well. The room
may import `text`, `tables` and the ground floor, and never torch. Names are loaded when they are
first used: a run's settings ask for the metrics' names alone.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.metrics.files import read_candidates, read_references
    from miacap.metrics.frequencies import DocumentFrequencies
    from miacap.metrics.names import METRICS
    from miacap.metrics.scoring import Scores, score

__all__ = [
    "METRICS",
    "DocumentFrequencies",
    "Scores",
    "read_candidates",
    "read_references",
    "score",
]

_LAZY = {
    "METRICS": "names",
    "DocumentFrequencies": "frequencies",
    "Scores": "scoring",
    "read_candidates": "files",
    "read_references": "files",
    "score": "scoring",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.metrics' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.metrics.{_LAZY[name]}"), name)
