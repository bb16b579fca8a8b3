"""Room: captioning. What is done with a captioner: train it, evaluate it, caption photos.

Holds the objectives, one door into a batch (`inputs`), evaluation on a split beside two captioners
that see nothing, and the pipeline from photo to caption. May import every room below it.
"""

from miacap.captioning.evaluation import Evaluation, evaluate
from miacap.captioning.inputs import Inputs
from miacap.captioning.outcome import doubt
from miacap.captioning.pipeline import Pipeline, load
from miacap.captioning.rows import Row
from miacap.captioning.training import best_scores, train

__all__ = [
    "Evaluation",
    "Inputs",
    "Pipeline",
    "Row",
    "best_scores",
    "doubt",
    "evaluate",
    "load",
    "train",
]
