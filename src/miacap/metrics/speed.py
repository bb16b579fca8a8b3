"""When the compiled loops of the extra [fast] count, and when numpy does.

Numbers are the same to the last bit either way. Loading numba and its loops takes longer than
numpy needs for a set of usual size, so that a single call does not wait for it. A process that
has counted as much in many calls goes over to the loops, and so does one where they are loaded.
"""

import importlib.util
import os
import sys
from functools import cache
from types import ModuleType

# Where loading compiled code from disk pays, measured in fresh processes: 15,000 pictures with
# five references (10,000: 0.96 CPU seconds in numpy, 1.14 with numba; 15,000: 1.78 and 1.63).
_SENTENCES = 90_000
_CALLS = 3  # of `loops` in one score
_COMPILED = "miacap.metrics.compiled"


class _Counted:
    """Sentences that this process has counted so far, each once for every call of `loops`."""

    sentences = 0


def loops(sentences: int) -> ModuleType | None:
    """The module of compiled loops, or None where numpy should count.

    The environment variable MIACAP_COMPILED decides over everything: 0 never, 1 always.
    """
    wish = os.environ.get("MIACAP_COMPILED", "")
    if wish == "0":
        return None
    if wish == "1" or _COMPILED in sys.modules:
        return _load()
    _Counted.sentences += sentences
    if sentences < _SENTENCES and _Counted.sentences < _CALLS * _SENTENCES:
        return None
    return _load()


@cache
def _load() -> ModuleType | None:
    if importlib.util.find_spec("numba") is None:
        return None
    from miacap.metrics import compiled

    return compiled
