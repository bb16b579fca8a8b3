"""The words that a captioner can say, and their ids.

The four special ids are the same in every vocabulary; word i of the list has id 4 + i.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from miacap.errors import DataError
from miacap.files import read_json, write_json
from miacap.wording import counted

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIAL_NAMES = ("<pad>", "<bos>", "<eos>", "<unk>")

_FORMAT = 1


class Vocabulary:
    """An ordered set of words with the special ids PAD, BOS, EOS, UNK = 0, 1, 2, 3 before them.

    Args:
        words: the words without the special ones; word i gets id 4 + i.

    Raises:
        DataError: a word is not a string, is empty, holds a blank, stands twice, is the name
            of a special id, or cannot be written as UTF-8.
    """

    __slots__ = ("_ids", "_names", "_words")

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self._names = SPECIAL_NAMES + self._words
        self._ids: dict[str, int] = {}
        for index, word in enumerate(self._words):
            _check(word, index)
            first = self._ids.setdefault(word, index + 4)
            if first != index + 4:
                raise DataError(
                    f"Word {word!r} stands twice in the vocabulary (words {first - 4} and "
                    f"{index}); keep it once."
                )

    @property
    def words(self) -> tuple[str, ...]:
        """The words in order of id, without the special ones."""
        return self._words

    def __len__(self) -> int:
        """Number of ids, the four special ones included."""
        return len(self._names)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._words == other._words

    def __hash__(self) -> int:
        return hash(self._words)

    def __repr__(self) -> str:
        return f"Vocabulary({counted(len(self._words), 'word')})"

    def id(self, word: str) -> int:
        """Give the id of a word, UNK if it is not here."""
        return self._ids.get(word, UNK)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Give the ids of tokens, without BOS and EOS; an unknown token becomes UNK."""
        get = self._ids.get
        return [get(token, UNK) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Give the words up to the first EOS; PAD and BOS are left out, UNK reads `<unk>`.

        Raises DataError for an id outside 0 .. len(self) - 1.
        """
        words = []
        for number in ids:
            if number == EOS:
                break
            if number in (PAD, BOS):
                continue
            if not 0 <= number < len(self._names):
                raise DataError(
                    f"Id {number} is no word: this vocabulary has {len(self)} ids. "
                    "Decode with the vocabulary that the captioner was trained with."
                )
            words.append(self._names[number])
        return words

    @classmethod
    def from_captions(cls, token_lists: Iterable[Sequence[str]], minimum: int = 5) -> Self:
        """Build from tokenised captions (of the training split only).

        Keeps the words that occur at least `minimum` times, most frequent first, words of
        equal count in alphabetical order (by code point), whatever the order of the captions.
        """
        counts: Counter[str] = Counter()
        for tokens in token_lists:
            counts.update(tokens)
        for name in SPECIAL_NAMES:
            counts.pop(name, None)
        kept = [word for word, count in counts.items() if count >= minimum]
        return cls(sorted(kept, key=lambda word: (-counts[word], word)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON: `{"format": 1, "words": [...], "sha256": "..."}`, the words' checksum."""
        words = list(self._words)
        write_json(path, {"format": _FORMAT, "words": words, "sha256": _checksum(words)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; files of earlier versions have no checksum.

        Raises:
            DataError: no vocabulary, or a damaged one; with the file's name.
        """
        content = read_json(path)
        words = _words_of(content, Path(path))
        try:
            vocabulary = cls(words)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        if "sha256" in content and content["sha256"] != _checksum(words):
            raise DataError(
                f"{path}: damaged (its words do not have the checksum in it); copy the file again."
            )
        return vocabulary


def _checksum(words: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(words)).encode("ascii")).hexdigest()


def _check(word: object, index: int) -> None:
    if not isinstance(word, str):
        raise DataError(
            f"Word {index} of the vocabulary is {word!r}, a {type(word).__name__}; "
            "words are strings."
        )
    if not word or any(blank in word for blank in " \n\r\t"):
        raise DataError(
            f"Word {index} of the vocabulary, {word!r}, is empty or holds a blank; "
            "give single tokens, as tokenize returns them."
        )
    if word in SPECIAL_NAMES:
        raise DataError(
            f"Word {index} of the vocabulary, {word!r}, names a special id; leave it out, "
            "every vocabulary has it."
        )
    try:
        word.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"Word {index} of the vocabulary, {word!r}, holds half of a surrogate pair and "
            "cannot be written as UTF-8; leave it out."
        ) from None


def _words_of(content: Any, path: Path) -> list[str]:
    if not isinstance(content, dict) or not isinstance(content.get("words"), list):
        raise DataError(
            f"{path}: not a vocabulary; expected an object with 'format' and a list 'words'."
        )
    if content.get("format") != _FORMAT:
        raise DataError(
            f"{path}: vocabulary format {content.get('format')!r}, this miacap reads {_FORMAT}; "
            "install a newer miacap."
        )
    words: list[str] = content["words"]
    return words
