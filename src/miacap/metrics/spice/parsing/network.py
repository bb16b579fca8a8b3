"""spaCy's small English model by plain numpy: the same network, several times as fast.

spaCy evaluates it through a general library, document by document and, on many processors, with
slow matrix products. Captions are short and share their words, so here a word is embedded once,
captions of one length go through the layers together, and all of them take their parser's steps
at the same time (`transitions`). Weights and embeddings are spaCy's own.

    embedding    of each word's form, prefix, suffix and shape (spaCy's own function): 96 numbers
    4 layers     x + norm(max over 3 pieces of W [left, x, right] + b), zeros around the caption
    tags         argmax of W x + b
    parser       see `transitions`
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from miacap.metrics.spice.parsing.transitions import Transitions

_Floats = NDArray[np.float32]
_CAPTIONS, _WORDS = 256, 16_384  # what goes through the parser's steps together, at most
_KNOWN = 50_000  # words whose embeddings are kept
_FEATURES = ["NORM", "PREFIX", "SUFFIX", "SHAPE", "SPACY", "IS_SPACE"]
_LAYER = "residual(expand_window>>maxout>>layernorm>>dropout)"


class Parse(NamedTuple):
    """A parsed caption, one entry a word.

    Attributes:
        tags: Penn Treebank parts of speech.
        labels: dependency labels.
        heads: index of the word that each hangs on; its own for a root.
    """

    tags: Sequence[str]
    labels: Sequence[str]
    heads: Sequence[int]


class _Layer(NamedTuple):
    """Weights of one layer, the pieces of its maxout one behind another."""

    weight: _Floats
    bias: _Floats
    scale: _Floats
    shift: _Floats


class Network:
    """The network of a loaded model.

    Args:
        model: what `en_core_web_sm` loads, with its tagger and parser; see `fits`.
    """

    def __init__(self, model: Any) -> None:
        self._vocabulary = model.vocab
        encoder = model.get_pipe("tok2vec").model
        self._embed = encoder.layers[0]
        self._layers = [_layer(layer) for layer in encoder.layers[1].layers[0].layers]
        tagger = model.get_pipe("tagger")
        softmax = tagger.model.layers[-1].layers[0]
        self._tags = np.array(tagger.labels, dtype=object)
        self._tag_weight = np.ascontiguousarray(softmax.get_param("W").T)
        self._tag_bias = softmax.get_param("b")
        self._transitions = Transitions(model.get_pipe("parser"))
        self._ids: dict[str, int] = {}
        self._vectors: _Floats = np.zeros((0, 0), np.float32)

    def parse(self, captions: Sequence[Sequence[str]]) -> Iterator[tuple[int, Parse]]:
        """Parse captions; those of about one length come together.

        Args:
            captions: words of each, with capitals and full stop; none is empty.

        Yields:
            The caption's index, and its parse.
        """
        for chosen in _batches([len(caption) for caption in captions]):
            yield from zip(chosen, self._batch([captions[i] for i in chosen]), strict=True)

    def _batch(self, captions: list[Sequence[str]]) -> list[Parse]:
        """Parse captions that are sorted by length."""
        ids = self._numbered(captions)
        lengths = np.array([len(caption) for caption in captions])
        parts, start = [], 0
        for length, group in groupby(lengths.tolist()):
            words = length * len(list(group))
            parts.append(self._encoded(ids[start : start + words].reshape(-1, length)))
            start += words
        states = np.concatenate(parts)
        guesses = (states @ self._tag_weight + self._tag_bias).argmax(axis=1)
        tags = self._tags[guesses].tolist()
        trees = self._transitions.parse(states, lengths)
        ends = np.cumsum(lengths).tolist()
        return [
            Parse(tags[end - len(heads) : end], labels, heads)
            for end, (labels, heads) in zip(ends, trees, strict=True)
        ]

    def _numbered(self, captions: list[Sequence[str]]) -> NDArray[np.int64]:
        """Rows of `_vectors` of all words; what is new is embedded, by spaCy's own function."""
        from spacy.tokens import Doc

        if len(self._ids) > _KNOWN:
            self._ids = {}
        words = [word for caption in captions for word in caption]
        new = [word for word in dict.fromkeys(words) if word not in self._ids]
        if new:
            found = self._embed.predict([Doc(self._vocabulary, words=new)])[0]
            kept = self._vectors[: len(self._ids)].reshape(-1, found.shape[1])
            self._ids.update((word, len(kept) + place) for place, word in enumerate(new))
            self._vectors = np.concatenate((kept, found))
        return np.fromiter(map(self._ids.__getitem__, words), np.int64, len(words))

    def _encoded(self, ids: NDArray[np.int64]) -> _Floats:
        """Captions of one length, N x L, to their words' states, N * L x 96.

        Each layer sees one word to either side; beyond the caption lie zeros, and what the layers
        make of them, so there is a row less at either end after every layer.
        """
        count, length = ids.shape
        around = len(self._layers)
        states = np.zeros((count, length + 2 * around, self._vectors.shape[1]), np.float32)
        states[:, around:-around] = self._vectors[ids]
        for layer in self._layers:
            states = states[:, 1:-1] + _normed(layer, _windows(states)).reshape(
                count, states.shape[1] - 2, -1
            )
        return states.reshape(count * length, -1)


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Indices of captions, by length, in batches that need little memory."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == _CAPTIONS or (len(batch) + 1) * lengths[index] > _WORDS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def fits(model: Any) -> bool:
    """Whether `model` has the architecture that is evaluated here (that of `en_core_web_sm` 3)."""
    if model.pipe_names != ["tok2vec", "tagger", "parser"]:
        return False
    encoder = model.get_pipe("tok2vec").model
    embed, encode = encoder.layers
    stack = encode.layers[0].layers if encode.layers else []
    tagger, parser = model.get_pipe("tagger").model, model.get_pipe("parser")
    return (
        embed.layers[0].attrs.get("columns") == _FEATURES
        and [layer.name for layer in stack] == [_LAYER] * len(stack) != []
        and encode.attrs.get("pad") == len(stack)
        and all(layer.layers[0].layers[0].attrs["window_size"] == 1 for layer in stack)
        and tagger.name == "tok2vec-listener>>with_array(softmax)"
        and Transitions.fits(parser)
    )


def _layer(residual: Any) -> _Layer:
    _, dense = residual.layers[0].layers
    maxout, norm = dense.layers[0].layers
    outputs, pieces, inputs = maxout.get_param("W").shape
    weight = maxout.get_param("W").transpose(1, 0, 2).reshape(pieces * outputs, inputs)
    bias = maxout.get_param("b").T.reshape(-1)
    return _Layer(
        np.ascontiguousarray(weight.T),
        np.ascontiguousarray(bias),
        norm.get_param("G"),
        norm.get_param("b"),
    )


def _windows(states: _Floats) -> _Floats:
    """N x R x D states to N * (R - 2) x 3D: each with its left and right neighbour."""
    count, rows, width = states.shape
    item = states.itemsize
    view = as_strided(
        states, (count, rows - 2, 3 * width), (rows * width * item, width * item, item)
    )
    return view.reshape(-1, 3 * width)


def _normed(layer: _Layer, windows: _Floats) -> _Floats:
    """Maxout of the windows, normed."""
    width = len(layer.scale)
    sums = windows @ layer.weight
    sums += layer.bias
    states = sums[:, :width].copy()
    for piece in range(width, sums.shape[1], width):
        np.maximum(states, sums[:, piece : piece + width], out=states)
    states -= states.mean(axis=1, keepdims=True)
    spread = np.einsum("ij,ij->i", states, states)[:, None] / np.float32(width)
    states *= (spread + np.float32(1e-8)) ** np.float32(-0.5)
    states *= layer.scale
    states += layer.shift
    return states
