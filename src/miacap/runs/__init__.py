"""Room: runs. A run folder: everything that is needed to caption a photo on another machine.

Creates, loads and lists run folders; training fills in the weights. May import every
room below it (`text`, `pictures`, `data`, `visual`, `captioners`, `training`, `concepts`).
"""

from miacap.runs.card import write_card
from miacap.runs.folder import Run, create, listing, load
from miacap.runs.settings import RunSettings

__all__ = ["Run", "RunSettings", "create", "listing", "load", "write_card"]
