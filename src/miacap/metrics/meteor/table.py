"""The paraphrase table as a prefix tree in flat arrays: compact, exact, quick to look up.

The table says, in lines of three, that one phrase may stand for another: 5.27 million entries over
2.6 million phrases of one to seven words. Every prefix of a phrase is a node; a node is known by
its parent and its last word, and `keys` holds (parent + 1) << 32 | word for all nodes in rising
order, so that a node's number is its index and a child is found by bisection:

    keys      uint64, one for each node; the root's children have parent -1
    heads     int32, the nodes that have paraphrases, rising
    starts    int32, heads + 1 indices into targets
    targets   int32, the nodes of the paraphrases, each head's in the order of the file
    words     uint8, all words in UTF-8, one a line; a word's number is its line

Source: the paraphrase tables of Denkowski & Lavie 2014, section 2.1.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miacap.errors import DataError

Arrays = dict[str, NDArray[Any]]
Numbers = NDArray[np.int32] | NDArray[np.int64]

_CHUNK = 1 << 22


def node_keys(parents: Numbers, words: Numbers) -> NDArray[np.uint64]:
    """Give the keys of nodes from their parents (-1 is the root) and their last words."""
    keys = (parents + 1).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= words.astype(np.uint64)
    return keys


def build(path: Path, advance: Callable[[int], None]) -> Arrays:
    """Read the gzipped table and give its arrays (about 12 s, under 500 MB).

    Args:
        path: the gzipped table.
        advance: told how many more bytes of the file were read.

    Raises:
        DataError: the file cannot be read or is no such table.
    """
    phrases = _Phrases()
    last = b""
    try:
        for froms, tos in _entries(path, advance):
            same = [a == b for a, b in zip(froms, [last, *froms[:-1]], strict=True)]
            last = froms[-1]
            phrases.extend([p for p, repeated in zip(froms, same, strict=True) if not repeated])
            phrases.extend(tos, entries=~np.array(same))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); install pycocoevalcap anew.") from None
    if not len(phrases):
        raise DataError(f"{path}: an empty paraphrase table; install pycocoevalcap anew.")
    return _arrays(phrases)


def _arrays(phrases: "_Phrases") -> Arrays:
    words = np.frombuffer(b"\n".join(phrases.words), np.uint8)
    is_target, source_of = phrases.roles()
    keys, nodes = _tree(*phrases.take())
    of_entry = nodes[~is_target][source_of]
    targets = nodes[is_target]
    order = np.argsort(of_entry, kind="stable")
    heads, counts = np.unique(of_entry, return_counts=True)
    return {
        "keys": keys,
        "heads": heads,
        "starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        "targets": targets[order],
        "words": words,
    }


class _Phrases:
    """Phrases in the order of the file, each source once before its run of paraphrases."""

    def __init__(self) -> None:
        self.words: dict[bytes, int] = {}
        self._flat: list[NDArray[np.int32]] = []
        self._lengths: list[NDArray[np.uint8]] = []
        self._is_target: list[NDArray[np.bool_]] = []
        self._new_source: list[NDArray[np.bool_]] = []

    def extend(self, phrases: list[bytes], entries: NDArray[np.bool_] | None = None) -> None:
        """Take sources, or with `entries` (true where a new source's run begins) paraphrases."""
        if not phrases:
            return
        number = self.words.setdefault
        flat = b" ".join(phrases).split(b" ")
        self._flat.append(np.array([number(w, len(self.words)) for w in flat], np.int32))
        self._lengths.append(np.array([p.count(b" ") + 1 for p in phrases], np.uint8))
        self._is_target.append(np.full(len(phrases), entries is not None))
        if entries is not None:
            self._new_source.append(entries)

    def __len__(self) -> int:
        return len(self._flat)

    def roles(self) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        """Say which phrases are paraphrases, and the number of each one's source."""
        source_of = np.cumsum(np.concatenate(self._new_source), dtype=np.int32) - np.int32(1)
        return np.concatenate(self._is_target), source_of

    def take(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Give all words, one phrase after the other, and the phrases' lengths; keep nothing."""
        flat, lengths = np.concatenate(self._flat), np.concatenate(self._lengths)
        self._flat, self._lengths = [], []
        return flat, lengths


def _entries(
    path: Path, advance: Callable[[int], None]
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield the phrases and paraphrases of the table, some hundred thousand at a time."""
    waiting: list[bytes] = []
    rest, position = b"", 0
    with open(path, "rb") as raw, gzip.open(raw) as text:
        while piece := text.read(_CHUNK):
            *complete, rest = (rest + piece).split(b"\n")
            waiting += complete
            whole = len(waiting) // 3 * 3
            if whole:
                yield waiting[1:whole:3], waiting[2:whole:3]
            waiting = waiting[whole:]
            advance(raw.tell() - position)
            position = raw.tell()
    if rest or waiting:
        raise DataError(
            f"{path}: the paraphrase table ends in the middle of an entry; "
            "install pycocoevalcap anew."
        )


def _tree(
    flat: NDArray[np.int32], lengths: NDArray[np.uint8]
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Give the keys of all nodes, level by level, and the node of every phrase."""
    begins = np.cumsum(lengths, dtype=np.int32) - lengths
    nodes = np.full(len(lengths), -1, np.int32)
    levels: list[NDArray[np.uint64]] = []
    count = 0
    for depth in range(int(lengths.max())):
        longer = np.flatnonzero(lengths > depth).astype(np.int32)
        wanted = node_keys(nodes[longer], flat[begins[longer] + depth])
        keys = np.unique(wanted)
        nodes[longer] = np.searchsorted(keys, wanted) + count
        count += len(keys)
        levels.append(keys)
    return np.concatenate(levels), nodes
