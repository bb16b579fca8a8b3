"""spaCy's small English model by plain numpy: the same network, many times as fast.

spaCy evaluates it through a general library, document by document and, on many processors, with
slow matrix products; to load spaCy takes seconds. Captions are short and share their words and
phrases, so here each word is embedded once, each layer sees each phrase once, and all captions
take their parser's steps at the same time (`transitions`).

    embedding    of each word, see `embedding`: 96 numbers
    4 layers     x + norm(max over 3 pieces of W [left, x, right] + b), zeros around the caption
    tags         argmax of W x + b
    parser       see `transitions`

After k layers a word's state depends on the k words to either side alone: it is worked out once
for each such phrase. W [left, x, right] is W1 left + W2 x + W3 right, so the products too are
made once for each phrase of the layer below.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from miacap.metrics.spice.parsing.embedding import Embedding
from miacap.metrics.spice.parsing.maxout import Maxout
from miacap.metrics.spice.parsing.space import Space
from miacap.metrics.spice.parsing.transitions import Transitions
from miacap.metrics.spice.parsing.weights import Floats, Weights

_Integers = NDArray[np.int64]
_CAPTIONS, _WORDS = 256, 16_384  # what goes through the parser's steps together, at most
_TOGETHER = 32_768  # words that go through the layers together, about
_ROWS = 512  # of sums that stay in the processor's cache
_KNOWN = 50_000  # words whose embeddings are kept


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


class Network:
    """The network of a model.

    Args:
        weights: what `weights.read` gives.
    """

    def __init__(self, weights: Weights) -> None:
        self._embedding = Embedding(weights)
        self._layers = [Maxout(layer) for layer in weights.layers]
        self._tags = np.array(weights.tag_names, dtype=object)
        self._tag_weight = np.ascontiguousarray(weights.tags.weight.T)
        self._tag_bias = weights.tags.bias
        self._transitions = Transitions(weights.parser)
        self._space = Space()
        self._alone = threading.Lock()  # threads would write into one space
        self._forget()

    def _forget(self) -> None:
        self._ids: dict[str, int] = {}
        width = self._layers[0].weight.shape[0] // 3
        self._vectors: Floats = np.zeros((1, width), np.float32)  # row 0: what is no word

    def parse(self, captions: Sequence[Sequence[str]]) -> Iterator[tuple[int, Parse]]:
        """Parse captions; those of about one length come together.

        Args:
            captions: words of each, with capitals and full stop; none is empty.

        Yields:
            The caption's index, and its parse.
        """
        for block in _blocks(captions):
            with self._alone:
                parsed = self._block(captions, block)
            yield from parsed

    def _block(
        self, captions: Sequence[Sequence[str]], block: list[int]
    ) -> list[tuple[int, Parse]]:
        batches = list(_batches([len(captions[index]) for index in block]))
        order = [block[place] for batch in batches for place in batch]
        states = self._encoded([captions[index] for index in order])
        parses: list[Parse] = []
        first = 0
        for batch in batches:
            lengths = np.array([len(captions[block[place]]) for place in batch])
            last = first + int(lengths.sum())
            parses += self._batch(states[first:last], lengths)
            first = last
        return list(zip(order, parses, strict=True))

    def _batch(self, states: Floats, lengths: _Integers) -> list[Parse]:
        """Parse captions whose words have the given states."""
        guesses = (states @ self._tag_weight + self._tag_bias).argmax(axis=1)
        tags = self._tags[guesses].tolist()
        trees = self._transitions.parse(states, lengths)
        ends = np.cumsum(lengths).tolist()
        return [
            Parse(tags[end - len(heads) : end], labels, heads)
            for end, (labels, heads) in zip(ends, trees, strict=True)
        ]

    def _numbered(self, captions: Sequence[Sequence[str]]) -> _Integers:
        """Rows of `_vectors` of all words; what is new is embedded."""
        if len(self._ids) > _KNOWN:
            self._forget()
        words = [word for caption in captions for word in caption]
        new = [word for word in dict.fromkeys(words) if word not in self._ids]
        if new:
            start = len(self._vectors)
            self._vectors = np.concatenate((self._vectors, self._embedding.of(new)))
            self._ids.update((word, start + index) for index, word in enumerate(new))
        return np.fromiter(map(self._ids.__getitem__, words), np.int64, len(words))

    def _encoded(self, captions: Sequence[Sequence[str]]) -> Floats:
        """States of all words, one caption after another: N x 96.

        Beyond a caption lie zeros, and what the layers make of them: a row less at either end
        after every layer.
        """
        around = len(self._layers)
        lengths = np.array([len(caption) for caption in captions])
        away = _distances(lengths, around)
        ids = np.zeros(len(away), np.int64)
        ids[away == 0] = self._numbered(captions)
        used, kinds = np.unique(ids, return_inverse=True)
        states = self._vectors[used]
        for number, layer in enumerate(self._layers, 1):
            places = np.flatnonzero(away <= around - number)
            states, kinds[places] = _next(layer, states, kinds, places, self._space)
        said: Floats = states[kinds[away == 0]]
        return said


def _next(
    layer: Maxout, states: Floats, kinds: _Integers, places: _Integers, space: Space
) -> tuple[Floats, _Integers]:
    """One layer.

    Args:
        layer: it.
        states: of each kind of phrase, K x 96.
        kinds: the phrase around each place.
        places: which are wanted; their neighbours exist.
        space: for what is used here alone.

    Returns:
        The states of the longer phrases, and which of them each wanted place has.
    """
    count = len(states)
    keys = (kinds[places - 1] * count + kinds[places]) * count + kinds[places + 1]
    different, found = np.unique(keys, return_inverse=True)
    rest, right = np.divmod(different, count)
    left, middle = np.divmod(rest, count)
    width = states.shape[1]
    before, here, after = space.of("products", 3, count, len(layer.bias))
    for third, products in enumerate((before, here, after)):
        np.matmul(states, layer.weight[third * width :][:width], out=products)
    here += layer.bias
    result = np.empty((len(different), width), np.float32)
    sums, more = space.of("sums", 2, _ROWS, len(layer.bias))
    for start in range(0, len(different), _ROWS):
        rows = slice(start, start + _ROWS)
        size = len(different[rows])
        np.take(before, left[rows], axis=0, out=sums[:size], mode="clip")
        for products, index in ((here, middle), (after, right)):
            np.take(products, index[rows], axis=0, out=more[:size], mode="clip")
            sums[:size] += more[:size]
        np.add(states[middle[rows]], layer.normed(sums[:size]), out=result[rows])
    return result, found


def _distances(lengths: _Integers, around: int) -> _Integers:
    """How far each place is from the next word, with places for `around` at either end."""
    ends = np.cumsum(lengths + 2 * around)
    away = np.zeros(int(ends[-1]), np.int64)
    for distance in range(1, around + 1):
        away[ends - around - 1 + distance] = distance
        away[ends - lengths - around - distance] = distance
    return away


def _blocks(captions: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Indices of captions by their words, which neighbours share, in blocks of bounded memory."""
    block: list[int] = []
    words = 0
    for index in sorted(range(len(captions)), key=lambda index: [*captions[index]]):
        if block and words + len(captions[index]) > _TOGETHER:
            yield block
            block, words = [], 0
        block.append(index)
        words += len(captions[index])
    if block:
        yield block


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
