"""The layer that spaCy's model is made of: norm(max over the pieces of W x + b)."""

import numpy as np

from miacap.metrics.spice.parsing.weights import Floats, Layer


class Maxout:
    """One layer.

    Args:
        layer: its weights.
    """

    def __init__(self, layer: Layer) -> None:
        outputs, pieces, inputs = layer.weight.shape
        flat = layer.weight.transpose(1, 0, 2).reshape(pieces * outputs, inputs)
        # The pieces one behind another.
        self.weight: Floats = np.ascontiguousarray(flat.T)
        self.bias: Floats = np.ascontiguousarray(layer.bias.T.reshape(-1))
        self._scale, self._shift = layer.scale, layer.shift

    def of(self, inputs: Floats) -> Floats:
        """N x inputs to N x outputs."""
        sums = inputs @ self.weight
        sums += self.bias
        return self.normed(sums)

    def normed(self, sums: Floats) -> Floats:
        """From W x + b on: the largest piece, normed."""
        width = len(self._scale)
        states = sums[:, :width].copy()
        for piece in range(width, sums.shape[1], width):
            np.maximum(states, sums[:, piece : piece + width], out=states)
        states -= states.mean(axis=1, keepdims=True)
        spread = np.einsum("ij,ij->i", states, states)[:, None] / np.float32(width)
        states *= (spread + np.float32(1e-8)) ** np.float32(-0.5)
        states *= self._scale
        states += self._shift
        return states
