"""A parsed caption as words that hang on one another, small enough to repair by hand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_NOUN_TAGS = frozenset(("NN", "NNS", "NNP", "NNPS"))


class Row(NamedTuple):
    """One word as a dependency parser gives it.

    Args:
        text: the word, lower case.
        tag: Penn Treebank part of speech.
        label: dependency label of ClearNLP's scheme, as in spaCy's English models.
        head: index of the word it hangs on; its own index for a root.
    """

    text: str
    tag: str
    label: str
    head: int


@dataclass(eq=False, slots=True)
class Word:
    """A node of the tree; compared by identity, since captions repeat words."""

    index: int
    text: str
    tag: str
    label: str
    lemma: str = ""
    head: "Word | None" = None
    children: list["Word"] = field(default_factory=list)

    @property
    def is_noun(self) -> bool:
        """Common or proper noun, singular or plural."""
        return self.tag in _NOUN_TAGS

    @property
    def is_verb(self) -> bool:
        """Any form of a verb."""
        return self.tag[:1] == "V"

    @property
    def is_plural(self) -> bool:
        """Plural noun."""
        return self.tag in ("NNS", "NNPS")

    def having(self, *labels: str) -> Iterator["Word"]:
        """Children under one of `labels`, from left to right."""
        return (child for child in self.children if child.label in labels)

    def has(self, *labels: str) -> bool:
        """Whether any child hangs on this word under one of `labels`."""
        return any(child.label in labels for child in self.children)

    def hang(self, head: "Word | None", label: str) -> None:
        """Move this word, with all that hangs on it, to another head (None: it is a root)."""
        if self.head is not None:
            self.head.children.remove(self)
        self.head, self.label = head, label
        if head is not None:
            head.children.append(self)
            head.children.sort(key=lambda child: child.index)

    def above(self, other: "Word") -> bool:
        """Whether `other` hangs on this word, directly or not."""
        while other.head is not None:
            other = other.head
            if other is self:
                return True
        return False

    def __repr__(self) -> str:
        head = self.head.text if self.head else "-"
        return f"{self.text}/{self.tag} {self.label} {head}"


def tree(rows: Iterable[Row]) -> list[Word]:
    """Words in order, each hung on its head."""
    given = list(rows)
    words = [Word(i, row.text, row.tag, row.label) for i, row in enumerate(given)]
    for word, row in zip(words, given, strict=True):
        if row.head != word.index and 0 <= row.head < len(words):
            word.head = words[row.head]
            word.head.children.append(word)
    return words
