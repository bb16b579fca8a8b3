"""Room: training. One loop that fits any task, stops well, and resumes to the bit.

It knows no captioner and no concept: a task brings its module, batches, loss and evaluation.
May import the ground floor, `pictures` and `data`; never a room above.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.training.loop import fit
    from miacap.training.settings import TrainingSettings
    from miacap.training.task import (
        Announcing,
        Doubting,
        Example,
        FitResult,
        Grouped,
        ParameterGroup,
        Showing,
        Task,
        Telling,
        Told,
    )

__all__ = [
    "Announcing",
    "Doubting",
    "Example",
    "FitResult",
    "Grouped",
    "ParameterGroup",
    "Showing",
    "Task",
    "Telling",
    "Told",
    "TrainingSettings",
    "fit",
]

_LAZY = {
    "Announcing": "task",
    "Doubting": "task",
    "Example": "task",
    "FitResult": "task",
    "Grouped": "task",
    "ParameterGroup": "task",
    "Showing": "task",
    "Task": "task",
    "Telling": "task",
    "Told": "task",
    "TrainingSettings": "settings",
    "fit": "loop",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.training' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.training.{_LAZY[name]}"), name)
