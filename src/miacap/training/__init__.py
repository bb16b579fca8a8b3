"""Room: training. One loop that fits any task, stops well, and resumes to the bit.

It knows no captioner and no concept: a task brings its module, batches, loss and evaluation.
May import the ground floor, ``pictures`` and ``data``; never a room above.
"""

from miacap.training.loop import fit
from miacap.training.settings import TrainingSettings
from miacap.training.task import FitResult, Task

__all__ = ["FitResult", "Task", "TrainingSettings", "fit"]
