"""Which concepts of a list share a word or a synset with another one, without asking each."""

from collections.abc import Iterable, Iterator, Sequence

from miacap.metrics.spice.concepts import Concept

FEW = 32  # up to here it is quicker to ask each


class Sharing:
    """Concepts in the order in which they came, found by their words and synsets.

    Every test that SPICE makes of two concepts (equal, similar, matching) fails where they share
    neither, so that only those that `near` gives have to be asked.
    """

    def __init__(self, concepts: Iterable[Concept] = ()) -> None:
        self._concepts = list(concepts)
        self._by_word: dict[str, list[int]] = {}
        self._by_synset: dict[int, list[int]] = {}
        self._indexed = 0  # how many concepts are in the two above

    def __len__(self) -> int:
        return len(self._concepts)

    def __getitem__(self, index: int) -> Concept:
        return self._concepts[index]

    def __iter__(self) -> Iterator[Concept]:
        return iter(self._concepts)

    def append(self, concept: Concept) -> None:
        """Add a concept at the end."""
        self._concepts.append(concept)

    def merge(self, index: int, concept: Concept) -> None:
        """Let the concept at an index take in another one."""
        old = self._concepts[index]
        new = self._concepts[index] = old.merged(concept)
        if index < self._indexed:
            self._enter(index, new.word_set - old.word_set, new.synsets - old.synsets)

    def near(self, concept: Concept) -> Sequence[int]:
        """Give indices, rising; all that share a word or a synset with a concept are among them."""
        if len(self._concepts) <= FEW:
            return range(len(self._concepts))
        return sorted({index for indices in self._lists(concept) for index in indices})

    def how_many(self, concept: Concept) -> int:
        """Give an upper bound of the number of indices that `near` gives, at less cost."""
        if len(self._concepts) <= FEW:
            return len(self._concepts)
        return sum(map(len, self._lists(concept)))

    def _lists(self, concept: Concept) -> list[list[int]]:
        while self._indexed < len(self._concepts):
            new = self._concepts[self._indexed]
            self._enter(self._indexed, new.words, new.synsets)
            self._indexed += 1
        words, synsets = self._by_word, self._by_synset
        return [
            *(words[word] for word in concept.words if word in words),
            *(synsets[synset] for synset in concept.synsets if synset in synsets),
        ]

    def _enter(self, index: int, words: Iterable[str], synsets: Iterable[int]) -> None:
        for word in words:
            self._by_word.setdefault(word, []).append(index)
        for synset in synsets:
            self._by_synset.setdefault(synset, []).append(index)
