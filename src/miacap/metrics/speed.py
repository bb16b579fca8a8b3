"""When the compiled loops of the extra [fast] count, and when numpy does.

Numbers are the same to the last bit either way. Loading numba and its loops takes
longer than numpy needs for a small set, so small sets never wait for it.
"""

import importlib.util
import os
from functools import cache
from types import ModuleType

# About where loading compiled code from disk pays: 1,000 pictures with five references.
_SENTENCES = 6_000


def loops(sentences: int) -> ModuleType | None:
    """The module of compiled loops, or None where numpy should count.

    The environment variable MIACAP_COMPILED decides over everything: 0 never, 1 always.
    """
    wish = os.environ.get("MIACAP_COMPILED", "")
    if wish == "0" or (wish != "1" and sentences < _SENTENCES):
        return None
    return _load()


@cache
def _load() -> ModuleType | None:
    if importlib.util.find_spec("numba") is None:
        return None
    from miacap.metrics import compiled

    return compiled
