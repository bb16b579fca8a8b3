"""Room: decoding. Finds words with any captioner that fulfils the contract.

Offers `search` with `SearchSettings`, and what it is made of: `greedy` and `beam`, which give
`Hypothesis`, `sample`, which gives `Samples`, and the rules on logits that all of them take.
May import text (special ids), pictures and the captioners' contract, and loads lazily, so that
reading settings needs no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miacap.decoding.beams import beam
    from miacap.decoding.hypotheses import BANNED, Hypothesis
    from miacap.decoding.rules import (
        BlockRepeats,
        ForbidWords,
        MinimumLength,
        NoBadEndings,
        Rule,
        Temperature,
        TopK,
        TopP,
    )
    from miacap.decoding.sampling import Samples, greedy, policy_log_probabilities, sample
    from miacap.decoding.searching import search
    from miacap.decoding.settings import SearchSettings

__all__ = [
    "BANNED",
    "BlockRepeats",
    "ForbidWords",
    "Hypothesis",
    "MinimumLength",
    "NoBadEndings",
    "Rule",
    "Samples",
    "SearchSettings",
    "Temperature",
    "TopK",
    "TopP",
    "beam",
    "greedy",
    "policy_log_probabilities",
    "sample",
    "search",
]

_RULES = (
    "BlockRepeats", "ForbidWords", "MinimumLength", "NoBadEndings", "Rule", "Temperature", "TopK",
    "TopP",
)  # fmt: skip
_LAZY = {
    **dict.fromkeys(_RULES, "rules"),
    **dict.fromkeys(("BANNED", "Hypothesis"), "hypotheses"),
    **dict.fromkeys(("Samples", "greedy", "policy_log_probabilities", "sample"), "sampling"),
    "SearchSettings": "settings",
    "beam": "beams",
    "search": "searching",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.decoding' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.decoding.{_LAZY[name]}"), name)
