"""Look-ups in the paraphrase table for many sentences at once.

Sentences are searched for all phrases of the table level by level: the nodes that the phrases of
n words reach, and the word that follows each, give the nodes for n + 1 words by one bisection.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miacap.metrics.meteor import cache, table


@dataclass(frozen=True)
class Occurrences:
    """Where phrases of the table occur in sentences.

    Attributes:
        sentence: number of the sentence, rising.
        start: number of the phrase's first word in its sentence.
        length: its number of words.
        node: the phrase's number in the table.
    """

    sentence: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    node: NDArray[np.int64]

    def keep(self, chosen: NDArray[np.bool_]) -> "Occurrences":
        """Give the occurrences that a mask chooses."""
        return Occurrences(
            self.sentence[chosen], self.start[chosen], self.length[chosen], self.node[chosen]
        )


class Paraphrases:
    """The paraphrase table, memory-mapped.

    Args:
        arrays: what `table.build` gives.
    """

    def __init__(self, arrays: table.Arrays) -> None:
        self._keys, self._heads = arrays["keys"], arrays["heads"]
        self._starts, self._targets = arrays["starts"], arrays["targets"]
        words = arrays["words"].tobytes().decode("utf-8").split("\n")
        self._number = {word: number for number, word in enumerate(words)}

    @classmethod
    def load(cls, quiet: bool = False) -> "Paraphrases":
        """Open the table in the user's cache, building it the first time (see `cache.load`)."""
        return cls(cache.load(quiet))

    def __len__(self) -> int:
        """Count the entries (a phrase and one paraphrase of it)."""
        return len(self._targets)

    def find(self, sentences: Sequence[Sequence[str]]) -> Occurrences:
        """Find every phrase of the table, and every beginning of one, in sentences of words."""
        number = self._number.get
        flat = np.array([number(w, -1) for s in sentences for w in (*s, "")], np.int64)
        lengths = np.array([len(s) for s in sentences], np.int64)
        begins = np.cumsum(lengths + 1) - lengths - 1
        index = np.flatnonzero(flat >= 0)
        node = np.full(len(index), -1, np.int64)
        indices, counts, nodes = [], [], []
        length = 0
        while len(index):
            word = flat[index + length]
            index, node, word = index[word >= 0], node[word >= 0], word[word >= 0]
            wanted, inverse = np.unique(table.node_keys(node, word), return_inverse=True)
            child = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            known = self._keys[child] == wanted
            index, node = index[known[inverse]], child[inverse][known[inverse]]
            length += 1
            indices.append(index)
            nodes.append(node)
            counts.append(np.full(len(index), length))
        where = np.concatenate(indices) if indices else index
        sentence = np.searchsorted(begins, where, side="right") - 1
        order = np.argsort(sentence, kind="stable")
        count = np.concatenate(counts) if counts else node
        all_nodes = np.concatenate(nodes) if nodes else node
        start = where - begins[sentence]
        return Occurrences(sentence[order], start[order], count[order], all_nodes[order])

    def entries(
        self, phrases: NDArray[np.int64], among: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Give the table's entries from some phrases to some others.

        Args:
            phrases: nodes, rising.
            among: nodes, rising.

        Returns:
            Phrase, paraphrase and rank (the entry's index in the table), one row an entry.
        """
        indices = np.minimum(np.searchsorted(self._heads, phrases), len(self._heads) - 1)
        is_head = self._heads[indices] == phrases
        phrases, indices = phrases[is_head], indices[is_head]
        begin = self._starts[indices].astype(np.int64)
        count = self._starts[indices + 1] - begin
        offset = np.repeat(begin - (np.cumsum(count) - count), count)
        rank = np.arange(len(offset), dtype=np.int64) + offset
        target = self._targets[rank].astype(np.int64)
        wanted = np.zeros(len(self._keys), bool)
        wanted[among] = True
        chosen = wanted[target]
        return np.repeat(phrases, count)[chosen], target[chosen], rank[chosen]
