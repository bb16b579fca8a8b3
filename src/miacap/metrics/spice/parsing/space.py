"""Memory that is used again and again: to get much of it anew costs as much as to fill it."""

import math

import numpy as np

from miacap.metrics.spice.parsing.weights import Floats


class Space:
    """Arrays for what is needed for a moment, by name."""

    def __init__(self) -> None:
        self._held: dict[str, Floats] = {}

    def of(self, name: str, *shape: int) -> Floats:
        """Give an array of any content; the last one of that name is no longer to be used."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or len(held) < size:
            held = self._held[name] = np.empty(size, np.float32)
        return held[:size].reshape(shape)
