"""Room: captioners. Models that say a picture word by word, all behind one contract.

Offers the contract, `names`, `build` and `register`, what can be asked of a captioner
(`sources`, `sizes`, `reads`, `regulariser`, `self_critical_rate`), and the parts to write
one; one file per family.
May import text (special ids), pictures, refiner and the ground floor, and loads lazily, so
that listing names needs no torch.
"""

from typing import TYPE_CHECKING, Any

from miacap.captioners.registry import (
    build,
    names,
    reads,
    register,
    regulariser,
    self_critical_rate,
    sizes,
    sources,
)

if TYPE_CHECKING:
    from miacap.captioners.attention import masked_softmax
    from miacap.captioners.contract import (
        Attention,
        Captioner,
        Factory,
        Forwarded,
        Memory,
        Regularised,
        Regulariser,
        State,
        Trace,
    )
    from miacap.captioners.ensemble import Ensemble
    from miacap.captioners.feed import Feed, Slot, mean_rows, modalities
    from miacap.captioners.records import MemoryRecord, StateRecord
    from miacap.captioners.recurrence import LstmState, Recurrence
    from miacap.captioners.settings import FedSizes, Sizes
    from miacap.pictures import Pictures

__all__ = [
    "Attention",
    "Captioner",
    "Ensemble",
    "Factory",
    "FedSizes",
    "Feed",
    "Forwarded",
    "LstmState",
    "Memory",
    "MemoryRecord",
    "Pictures",
    "Recurrence",
    "Regularised",
    "Regulariser",
    "Sizes",
    "Slot",
    "State",
    "StateRecord",
    "Trace",
    "build",
    "masked_softmax",
    "mean_rows",
    "modalities",
    "names",
    "reads",
    "register",
    "regulariser",
    "self_critical_rate",
    "sizes",
    "sources",
]

_LAZY = {
    **dict.fromkeys(
        (
            "Attention",
            "Captioner",
            "Factory",
            "Forwarded",
            "Memory",
            "Pictures",
            "Regularised",
            "Regulariser",
            "State",
            "Trace",
        ),
        "contract",
    ),
    **dict.fromkeys(("MemoryRecord", "StateRecord"), "records"),
    **dict.fromkeys(("LstmState", "Recurrence"), "recurrence"),
    **dict.fromkeys(("FedSizes", "Sizes"), "settings"),
    **dict.fromkeys(("Feed", "Slot", "mean_rows", "modalities"), "feed"),
    "Ensemble": "ensemble",
    "masked_softmax": "attention",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.captioners' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.captioners.{_LAZY[name]}"), name)
