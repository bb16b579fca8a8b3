"""Room: runs. A run folder: everything that is needed to caption a photo on another machine.

Creates, loads, lists, joins and packs run folders, and knows which are installed; training fills
in the weights. May import every room below it (`text`, `pictures`, `data`, `visual`, `captioners`,
`decoding`, `training`, `concepts`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.runs.card import CARD, card_text
    from miacap.runs.confidence import Calibration, Confidence
    from miacap.runs.folder import Run, create, keep_settings, load
    from miacap.runs.joined import JoinedRuns, join
    from miacap.runs.kept_start import load_start
    from miacap.runs.objectives import CrossEntropy, Objective, SelfCritical
    from miacap.runs.overview import listing
    from miacap.runs.packing import Packed, pack
    from miacap.runs.pretrained import (
        Installed,
        NoneInstalled,
        chosen,
        installed,
        name_of,
        names_of,
    )
    from miacap.runs.settings import BackboneTuning, RunSettings, Start, VectorFile
    from miacap.runs.starting import continued, tuned
    from miacap.runs.trained import Trained

__all__ = [
    "CARD",
    "BackboneTuning",
    "Calibration",
    "Confidence",
    "CrossEntropy",
    "Installed",
    "JoinedRuns",
    "NoneInstalled",
    "Objective",
    "Packed",
    "Run",
    "RunSettings",
    "SelfCritical",
    "Start",
    "Trained",
    "VectorFile",
    "card_text",
    "chosen",
    "continued",
    "create",
    "installed",
    "join",
    "keep_settings",
    "listing",
    "load",
    "load_start",
    "name_of",
    "names_of",
    "pack",
    "tuned",
]

_LAZY = {
    "BackboneTuning": "settings",
    "tuned": "starting",
    "CARD": "card",
    "Calibration": "confidence",
    "Confidence": "confidence",
    "CrossEntropy": "objectives",
    "Installed": "pretrained",
    "JoinedRuns": "joined",
    "NoneInstalled": "pretrained",
    "Objective": "objectives",
    "Packed": "packing",
    "Run": "folder",
    "RunSettings": "settings",
    "SelfCritical": "objectives",
    "Start": "settings",
    "Trained": "trained",
    "VectorFile": "settings",
    "chosen": "pretrained",
    "continued": "starting",
    "create": "folder",
    "installed": "pretrained",
    "join": "joined",
    "keep_settings": "folder",
    "listing": "overview",
    "load": "folder",
    "name_of": "pretrained",
    "names_of": "pretrained",
    "load_start": "kept_start",
    "pack": "packing",
    "card_text": "card",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.runs' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.runs.{_LAZY[name]}"), name)
