"""Room: decoding. Finds words with any captioner that fulfils the contract.

Offers `search` and `n_best` with `SearchSettings`, and what they are made of: `greedy` and `beam`,
which give `Hypothesis`, `sample`, which gives `Samples`, and the rules on logits that all of them
take; and `word_log_probabilities`, of captions that were found. May import text (special ids),
pictures and the captioners' contract, and loads lazily, so that reading settings needs no torch.
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
    from miacap.decoding.searching import n_best, search
    from miacap.decoding.settings import SearchSettings
    from miacap.decoding.word_scores import word_log_probabilities

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
    "n_best",
    "policy_log_probabilities",
    "sample",
    "search",
    "word_log_probabilities",
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
    **dict.fromkeys(("n_best", "search"), "searching"),
    "word_log_probabilities": "word_scores",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.decoding' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.decoding.{_LAZY[name]}"), name)
