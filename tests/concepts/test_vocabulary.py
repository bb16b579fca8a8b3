"""Which words are concepts, and in which order."""

from pathlib import Path

import pytest
import torch

from miacap.concepts.vocabulary import ConceptVocabulary, coverage, is_content
from miacap.errors import DataError
from miacap.text import Vocabulary

LINES = [
    ["a", "dog", "and", "two", "dogs", "are", "sitting", "on", "the", "grass"],
    ["the", "dog", "'s", "ball", "is", "red", "and", "red"],
    ["two", "t-shirts", ",", "3", "zebras", "and", "a", "zebra"],
    ["two", "men", "in", "front", "of", "a", "dog"],
]


def test_frequent_content_words_in_order_of_count_then_alphabet() -> None:
    vocabulary = Vocabulary.from_captions(LINES, minimum=1)
    words = ConceptVocabulary.from_captions(LINES, vocabulary).words
    # No articles, prepositions, auxiliaries, clitics, figures or hyphens; no lemmas merged.
    assert words == (
        "dog", "two", "red", "ball", "dogs", "front", "grass", "men", "sitting", "zebra", "zebras",
    )  # fmt: skip
    assert ConceptVocabulary.from_captions(LINES, vocabulary, maximum=3).words == words[:3]


def test_a_concept_is_a_caption_word() -> None:
    vocabulary = Vocabulary.from_captions(LINES, minimum=2)
    found = ConceptVocabulary.from_captions(LINES, vocabulary)
    assert found.words == ("dog", "two", "red")
    with pytest.raises(DataError, match=r"No content word .* lower minimum_count"):
        ConceptVocabulary.from_captions(LINES, Vocabulary(["the"]))


@pytest.mark.parametrize("word", ["two", "three", "sitting", "holding", "wearing", "front"])
def test_numbers_and_relations_say_something(word: str) -> None:
    assert is_content(word)


@pytest.mark.parametrize("word", ["a", "the", "of", "his", "are", "while", "'s", "2", "t-shirt"])
def test_what_says_nothing(word: str) -> None:
    assert not is_content(word)


def test_targets_are_the_words_of_any_caption() -> None:
    words = ConceptVocabulary(["dog", "ball", "red"])
    found = words.targets([[["a", "dog"], ["red", "dog"]], [], [["ball"]]])
    assert found.tolist() == [[True, False, True], [False] * 3, [False, True, False]]


def test_coverage_counts_tokens() -> None:
    assert coverage(LINES[:1], ConceptVocabulary(["dog", "grass"])) == pytest.approx(2 / 5)


def test_ties_are_ranked_by_index() -> None:
    words = ConceptVocabulary(["c", "b", "a"])
    assert [w for w, _ in words.ranked(torch.tensor([0.5, 0.9, 0.5]))] == ["b", "c", "a"]


def test_words_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("\ufeff# mine\nDog\n\nball  # round\n", encoding="utf-8")
    assert ConceptVocabulary.from_file(file).words == ("dog", "ball")
    for text, message in [
        ("dog\nfire truck\n", r"words\.txt, line 2: 'fire truck' is not one word"),
        ("dog\nball\ndog\n", r"line 3: 'dog' is already on line 1"),
        ("dog\ncat\n", r"line 2: 'cat' is no word of the caption vocabulary"),
        ("# none\n", r"there is no word in this file"),
    ]:
        file.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            ConceptVocabulary.from_file(file, Vocabulary(["dog", "ball"]))
    with pytest.raises(DataError, match="there is no such file"):
        ConceptVocabulary.from_file(tmp_path / "absent.txt")


def test_words_are_there_once() -> None:
    with pytest.raises(DataError, match=r"'dog' is there twice"):
        ConceptVocabulary(["dog", "cat", "dog"])
    with pytest.raises(DataError, match="at least one word"):
        ConceptVocabulary([])
