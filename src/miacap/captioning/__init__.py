"""Room: captioning. What is done with a captioner: train it, evaluate it, caption photos.

Holds the objectives, one door into a batch (`inputs`), evaluation on a split beside two captioners
that see nothing, and the pipeline from photo to caption. May import every room below it. Names are
loaded when they are first used: a caption needs no training and no scores.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.captioning.calibrating import calibrate
    from miacap.captioning.candidates import Candidate
    from miacap.captioning.comparing import Comparison, captions_of, compare
    from miacap.captioning.evaluation import DEFAULT_METRICS, Evaluation, evaluate
    from miacap.captioning.inputs import Inputs
    from miacap.captioning.inspecting import Inspection, inspect_captions
    from miacap.captioning.outcome import doubt
    from miacap.captioning.pipeline import Pipeline, load
    from miacap.captioning.rows import Row
    from miacap.captioning.training import best_scores, train
    from miacap.captioning.tuning import tune

__all__ = [
    "DEFAULT_METRICS",
    "Candidate",
    "Comparison",
    "Evaluation",
    "Inputs",
    "Inspection",
    "Pipeline",
    "Row",
    "best_scores",
    "calibrate",
    "captions_of",
    "compare",
    "doubt",
    "evaluate",
    "inspect_captions",
    "load",
    "train",
    "tune",
]

_LAZY = {
    "Candidate": "candidates",
    "Comparison": "comparing",
    "Evaluation": "evaluation",
    "DEFAULT_METRICS": "evaluation",
    "Inputs": "inputs",
    "Inspection": "inspecting",
    "inspect_captions": "inspecting",
    "Pipeline": "pipeline",
    "Row": "rows",
    "best_scores": "training",
    "calibrate": "calibrating",
    "captions_of": "comparing",
    "compare": "comparing",
    "doubt": "outcome",
    "evaluate": "evaluation",
    "load": "pipeline",
    "train": "training",
    "tune": "tuning",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.captioning' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.captioning.{_LAZY[name]}"), name)
