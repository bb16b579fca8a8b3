"""Room: runs. A run folder: everything that is needed to caption a photo on another machine.

Creates, loads and lists run folders; training fills in the weights. May import every
room below it (`text`, `pictures`, `data`, `visual`, `captioners`, `training`, `concepts`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.runs.card import write_card
    from miacap.runs.folder import Run, create, load
    from miacap.runs.overview import listing
    from miacap.runs.settings import RunSettings

__all__ = ["Run", "RunSettings", "create", "listing", "load", "write_card"]

_LAZY = {
    "Run": "folder",
    "RunSettings": "settings",
    "create": "folder",
    "listing": "overview",
    "load": "folder",
    "write_card": "card",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.runs' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.runs.{_LAZY[name]}"), name)
