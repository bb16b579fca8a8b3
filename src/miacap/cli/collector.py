"""Python's collector of cycles, kept out of a command's way while it loads and when it ends.

Loading torch and what a verb needs makes some 300,000 objects that stay to the end. By itself the
collector looks at them again and again meanwhile, and twice more before the process ends: 0.6 of
2.3 CPU seconds of `miacap caption` for one photo.
"""

import atexit
import gc
from typing import Any

OBJECTS = 400_000
"""New objects before the first collection; more than loading makes."""


def keep_away() -> None:
    """Put the first collection off, and leave out the last ones; in between all is as before.

    It holds for the whole process, so a command calls it for itself, and a library does not for
    its host. What lies in cycles at the end goes with the process.
    """
    atexit.register(gc.freeze)  # first registered, so it runs last
    usual = gc.get_threshold()
    if not 0 < usual[0] < OBJECTS:  # somebody turned the collector off, or wants it later still
        return

    def begin(phase: str, info: dict[str, Any]) -> None:
        if begin in gc.callbacks:
            gc.callbacks.remove(begin)
            gc.set_threshold(*usual)

    gc.callbacks.append(begin)
    gc.set_threshold(OBJECTS, *usual[1:])
