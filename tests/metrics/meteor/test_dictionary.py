"""The dictionary against the official one, and its suffix rules by hand."""

import gzip
import json
from pathlib import Path

import pytest

from miacap.metrics.meteor.dictionary import Dictionary
from miacap.metrics.meteor.lexicon import java_hash, stemmer

WORDS = {"box": "1", "ride": "2", "glass": "3", "new": "4 5", "news": "6", "teddy_bear": "7"}
SMALL = Dictionary(WORDS, {"axes": ("ax", "axis"), "geese": ("goose",)})


@pytest.mark.parametrize(
    ("word", "bases"),
    [
        ("axes", ("ax", "axis")),  # exceptions, all of them
        ("boxes", ("box",)),  # xes -> x
        ("riding", ("ride",)),  # ing -> e
        ("news", ("new",)),  # a base although it is a word itself
        ("glass", ()),  # -ss
        ("as", ()),  # two letters
        ("zebras", ()),  # zebra is not in the dictionary
    ],
)
def test_bases(word: str, bases: tuple[str, ...]) -> None:
    assert SMALL.bases(word) == bases


def test_synsets_are_own_and_of_bases() -> None:
    assert SMALL.synsets("news") == {4, 5, 6}
    assert SMALL.synsets("teddy_bear") == {7}
    assert SMALL.synsets("teddy bear") == frozenset()
    assert "news" in SMALL and "axes" not in SMALL


@pytest.mark.usefixtures("tables")
def test_every_word_of_coco(shared: Path) -> None:
    """18,377 words: stems and synsets by the official program."""
    dictionary, stem = Dictionary.load(), stemmer()
    with gzip.open(shared / "metrics" / "meteor_words.json.gz", "rt") as file:
        rows = json.load(file)["rows"]
    assert [w for w, _, numbers in rows if dictionary.synsets(w) != frozenset(numbers)] == []
    assert [word for word, official, _ in rows if stem(word) != official] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [("", 0), ("a", 97), ("as", 3122), ("c5", 3122), ("é", 233), ("𝄞", 0xD834 * 31 + 0xDD1E)],
)
def test_java_hash(text: str, code: int) -> None:
    assert java_hash(text) == code


def test_java_hash_takes_a_lone_surrogate() -> None:
    assert java_hash("\ud834") == 0xD834
    assert java_hash("x" * 5000) < 2**32
