"""Arc-eager parsing (Nivre 2008, as spaCy does it), a step of all captions at a time.

A caption's state is a stack, a buffer and the arcs so far. A step scores all moves by eight words
(b: buffer, s: stack, 0 the first; l and r: their last child to that side):

    scores = W max over 2 pieces of (bias + sum over f of P_f x[f]) + c
    f      = b0, b1, s0, s1, s2, l(b0), l(s0), r(s0);   P_f x is a table, made once a word

and takes the best of those that are allowed. Moves: Shift (b0 to the stack), Reduce (s0 leaves;
without a head it goes back to the buffer), Left (s0 hangs on b0), Right (b0 hangs on s0 and
goes to the stack), Break (b1 begins a sentence).
"""

import numpy as np
from numpy.typing import NDArray

from miacap.metrics.spice.parsing.space import Space
from miacap.metrics.spice.parsing.weights import ParserWeights

_Floats = NDArray[np.float32]
_Integers = NDArray[np.int64]
_MOVES = "SDLRB"
_SHIFT, _REDUCE, _LEFT, _RIGHT, _BREAK = range(5)
_DECORATED = "||"
_FEATURES = 8


class Transitions:
    """The parser of a model.

    Args:
        weights: its own.
    """

    def __init__(self, weights: ParserWeights) -> None:
        self._reduce_weight = np.ascontiguousarray(weights.reduce.weight.T)
        self._reduce_bias = weights.reduce.bias
        features, hidden, pieces, inputs = weights.table.shape
        self._pieces, self._hidden = pieces, hidden
        flat = weights.table.transpose(0, 2, 1, 3).reshape(features * pieces * hidden, inputs)
        self._table_weight = np.ascontiguousarray(flat.T)
        self._absent = weights.absent.transpose(0, 2, 1).reshape(-1)
        self._bias = np.ascontiguousarray(weights.bias.T.reshape(-1))
        self._score_weight = np.ascontiguousarray(weights.scores.weight.T)
        self._score_bias = weights.scores.bias
        self._move = np.array([_MOVES.index(name[0]) for name in weights.moves])
        self._label = [name[2:] for name in weights.moves]
        self._space = Space()

    def parse(self, states: _Floats, lengths: _Integers) -> list[tuple[list[str], list[int]]]:
        """Labels and heads of each caption's words.

        Args:
            states: of all words, one caption after another.
            lengths: words of each caption.
        """
        reduced = states @ self._reduce_weight + self._reduce_bias
        rows = self._space.of("table", len(states) + 1, self._table_weight.shape[1])
        np.matmul(reduced, self._table_weight, out=rows[:-1])
        rows[-1] = self._absent
        table = rows.reshape(-1, self._pieces * self._hidden)
        active = _States(lengths)
        running = np.arange(len(lengths))
        while len(running):
            words = active.words(running)
            moves = self._best(table, active.rows(running, words), active.allowed(running, words))
            active.move(running, words, self._move[moves], moves)
            running = running[~active.final(running)]
        return [
            self._named(moves[:length], heads[:length])
            for moves, heads, length in zip(
                active.moves.tolist(), active.heads.tolist(), lengths.tolist(), strict=True
            )
        ]

    def _best(self, table: _Floats, rows: _Integers, allowed: NDArray[np.bool_]) -> _Integers:
        """The best allowed move of each state."""
        sums, more = self._space.of("sums", 2, rows.shape[1], table.shape[1])
        np.take(table, rows[0], axis=0, out=sums, mode="clip")
        for feature in range(1, _FEATURES):
            np.take(table, rows[feature], axis=0, out=more, mode="clip")
            sums += more
        sums += self._bias
        hidden = sums[:, : self._hidden].copy()
        for piece in range(1, self._pieces):
            start = piece * self._hidden
            np.maximum(hidden, sums[:, start : start + self._hidden], out=hidden)
        scores = hidden @ self._score_weight
        scores += self._score_bias
        penalty = np.where(allowed, np.float32(0), np.float32(-np.inf))
        scores += penalty[:, self._move]
        best: _Integers = scores.argmax(axis=1)
        return best

    def _named(self, moves: list[int], heads: list[int]) -> tuple[list[str], list[int]]:
        """Labels and heads; a word without a head is a root."""
        labels = [self._label[move] if move >= 0 else "ROOT" for move in moves]
        heads = [index if head < 0 else head for index, head in enumerate(heads)]
        if any(_DECORATED in label for label in labels):
            _undecorate(labels, heads)
        return labels, heads


def _undecorate(labels: list[str], heads: list[int]) -> None:
    """Hang words whose arcs would cross others where their label says (Nivre, Nilsson 2005).

    The new head of X||Y is the first word labelled Y below the old one, level by level.
    """
    for word, label in enumerate(labels):
        if _DECORATED not in label:
            continue
        new_label, _, wanted = label.partition(_DECORATED)
        level, found = [heads[word]], heads[word]
        while level:
            below = [
                child
                for head in level
                for child, own in enumerate(heads)
                if own == head and child not in (head, word)
            ]
            match = next((child for child in below if labels[child] == wanted), None)
            if match is not None:
                found = match
                break
            level = below
        labels[word], heads[word] = new_label, found


class _States:
    """States of N captions of at most L words; index -1 is no word.

    Attributes:
        heads, moves: N x L + 1, each word's head and the move that hung it there; -1 for none.
    """

    def __init__(self, lengths: _Integers) -> None:
        count, longest = len(lengths), int(lengths.max(initial=0))
        shape = (count, longest + 1)  # the last column is that of index -1
        self.lengths = lengths
        self.offsets = np.cumsum(lengths) - lengths
        self.absent = int(lengths.sum())  # row of the table for "no word"
        self.heads, self.moves = np.full(shape, -1), np.full(shape, -1)
        self.left, self.right = np.full(shape, -1), np.full(shape, -1)  # last child to that side
        self.elder = np.full(shape, -1)  # the right child before this one
        self.starts = np.zeros(shape, np.bool_)  # begins a sentence
        self.returned = np.zeros(shape, np.bool_)  # went back to the buffer: no Shift again
        self.stack = np.full((count, longest + 4), -1)  # from column 3 on
        self.depth = np.zeros(count, np.int64)
        self.back = np.full(shape, -1)  # words that were put back before the buffer
        self.backs = np.zeros(count, np.int64)
        self.next = np.zeros(count, np.int64)

    def words(self, run: _Integers) -> tuple[_Integers, ...]:
        """b0, b1, s0, s1, s2 of the states `run`."""
        after, length, backs = self.next[run], self.lengths[run], self.backs[run]
        first = np.where(backs > 0, self.back[run, backs - 1], after)
        second = np.where(backs > 1, self.back[run, backs - 2], after + 1 - np.minimum(backs, 1))
        depth = self.depth[run]
        return (
            np.where((backs == 0) & (first >= length), -1, first),
            np.where((backs <= 1) & (second >= length), -1, second),
            self.stack[run, depth + 2],
            self.stack[run, depth + 1],
            self.stack[run, depth],
        )

    def rows(self, run: _Integers, words: tuple[_Integers, ...]) -> _Integers:
        """Rows of the table, one for each feature and state."""
        b0, b1, s0, s1, s2 = words
        features = np.stack(
            (b0, b1, s0, s1, s2, self.left[run, b0], self.left[run, s0], self.right[run, s0])
        )
        rows = np.where(features < 0, self.absent, features + self.offsets[run])
        return rows * _FEATURES + np.arange(_FEATURES)[:, None]

    def allowed(self, run: _Integers, words: tuple[_Integers, ...]) -> NDArray[np.bool_]:
        """Which of the five moves each state may take."""
        b0, b1 = words[:2]
        stacked = self.depth[run] > 0
        left = self._left(run)
        begins = self.starts[run, b0]
        shift = ~stacked | ((left >= 2) & ~begins & ~self.returned[run, b0])
        arc = stacked & (left > 0) & ~begins
        end = (left >= 2) & (b1 == b0 + 1) & ~self.starts[run, b1]
        return np.stack((shift, stacked, arc, arc, end), axis=1)

    def move(
        self, run: _Integers, words: tuple[_Integers, ...], kinds: _Integers, moves: _Integers
    ) -> None:
        """Take a move in each state of `run`."""
        b0, b1, s0 = words[:3]
        at = kinds == _BREAK
        self.starts[run[at], b1[at]] = True
        self._reduce(run[kinds == _REDUCE], s0[kinds == _REDUCE])
        at = kinds == _LEFT
        self._hang_left(run[at], b0[at], s0[at], moves[at])
        at = kinds == _RIGHT
        self._hang_right(run[at], b0[at], s0[at], moves[at])
        at = (kinds == _SHIFT) | (kinds == _RIGHT)
        self._push(run[at], b0[at])

    def final(self, run: _Integers) -> NDArray[np.bool_]:
        """Whether stack and buffer are empty."""
        ended: NDArray[np.bool_] = (self.depth[run] == 0) & (self._left(run) == 0)
        return ended

    def _left(self, run: _Integers) -> _Integers:
        """Words in the buffer."""
        return self.lengths[run] - self.next[run] + self.backs[run]

    def _push(self, run: _Integers, word: _Integers) -> None:
        self.stack[run, self.depth[run] + 3] = word
        self.depth[run] += 1
        put_back = self.backs[run] > 0
        self.backs[run] -= put_back
        self.next[run] += ~put_back

    def _reduce(self, run: _Integers, word: _Integers) -> None:
        back = (self.heads[run, word] < 0) & (self.depth[run] > 1)
        again, item = run[back], word[back]
        self.returned[again, item] = True
        self.back[again, self.backs[again]] = item
        self.backs[again] += 1
        self.depth[run] -= 1

    def _hang_left(
        self, run: _Integers, head: _Integers, word: _Integers, moves: _Integers
    ) -> None:
        before = self.heads[run, word]
        had = before >= 0  # it was the last right child of that head, as it is still on the stack
        self.right[run[had], before[had]] = self.elder[run[had], word[had]]
        self.left[run, head] = word
        self.heads[run, word], self.moves[run, word] = head, moves
        self.returned[run, head] = False
        self.depth[run] -= 1

    def _hang_right(
        self, run: _Integers, word: _Integers, head: _Integers, moves: _Integers
    ) -> None:
        self.elder[run, word] = self.right[run, head]
        self.right[run, head] = word
        self.heads[run, word], self.moves[run, word] = head, moves
