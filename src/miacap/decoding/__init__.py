"""Room: decoding. Finds words with any captioner that fulfils the contract.

Offers `search` with `SearchSettings`, and what it is made of: `greedy` and `beam`, which give
`Hypothesis`, `sample`, which gives `Samples`, and the rules on logits that all of them take.
May import text (special ids), pictures and the captioners' contract.
"""

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
from miacap.decoding.settings import SearchSettings, search

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
