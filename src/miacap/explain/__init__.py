"""Room: explain. What a run saw in a photo, and where.

`look` measures: it captions a photo and gives plain arrays (`Look`: words, attention, concepts, the
refiner's iterations, what hiding a region does). Drawing reads that record and no network.
`show` gives the concepts of a photo. May import every room below it; names are loaded when they are
first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.explain.concepts import Concept, heat_map, show
    from miacap.explain.looking import Looker, look
    from miacap.explain.looks import Look

__all__ = ["Concept", "Look", "Looker", "heat_map", "look", "show"]

_LAZY = {
    "Concept": "concepts",
    "Look": "looks",
    "Looker": "looking",
    "heat_map": "concepts",
    "look": "looking",
    "show": "concepts",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.explain' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.explain.{_LAZY[name]}"), name)
