"""Room: captioners. Models that say a picture word by word, all behind one contract.

Offers the contract, ``names``, ``sources``, ``penalised``, ``build`` and ``register``; one file
per family.
May import text (special ids), pictures, refiner and the ground floor, and loads lazily, so
that listing names needs no torch.
"""

from typing import TYPE_CHECKING, Any

from miacap.captioners.registry import build, names, penalised, register, sources

if TYPE_CHECKING:
    from miacap.captioners.contract import (
        Attention,
        Captioner,
        Factory,
        Forwarded,
        Memory,
        State,
        Trace,
    )
    from miacap.captioners.records import MemoryRecord, StateRecord
    from miacap.captioners.sizes import FedSizes, Sizes

__all__ = [
    "Attention",
    "Captioner",
    "Factory",
    "FedSizes",
    "Forwarded",
    "Memory",
    "MemoryRecord",
    "Sizes",
    "State",
    "StateRecord",
    "Trace",
    "build",
    "names",
    "penalised",
    "register",
    "sources",
]

_LAZY = {
    **dict.fromkeys(
        ("Attention", "Captioner", "Factory", "Forwarded", "Memory", "State", "Trace"), "contract"
    ),
    **dict.fromkeys(("MemoryRecord", "StateRecord"), "records"),
    **dict.fromkeys(("FedSizes", "Sizes"), "sizes"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.captioners' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.captioners.{_LAZY[name]}"), name)
