"""Room: captioning. What is done with a captioner: train it, evaluate it, caption photos.

Holds the captioner's training tasks, its evaluation on a split with two controls that see
nothing, and the pipeline from photo to caption. May import every room below it.
"""

from miacap.captioning.ensembles import join
from miacap.captioning.evaluation import Evaluation, evaluate
from miacap.captioning.pipeline import Pipeline, load
from miacap.captioning.searching import Row
from miacap.captioning.training import best_scores, train

__all__ = [
    "Evaluation",
    "Pipeline",
    "Row",
    "best_scores",
    "evaluate",
    "join",
    "load",
    "train",
]
