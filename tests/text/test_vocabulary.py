"""The vocabulary: ids, order, files, and what it refuses."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.errors import DataError
from miacap.text import BOS, EOS, PAD, UNK, Vocabulary

CAPTIONS = [["a", "dog"], ["a", "cat"], ["a", "dog", "bites", "a", "cat"]]


def test_special_ids_come_first() -> None:
    vocabulary = Vocabulary(["dog", "cat"])
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert len(vocabulary) == 6
    assert vocabulary.encode(["cat", "dog", "bird"]) == [5, 4, UNK]
    assert vocabulary.id("cat") == 5 and vocabulary.id("bird") == UNK
    assert "dog" in vocabulary and "bird" not in vocabulary and "<pad>" not in vocabulary


def test_decode_stops_at_the_end_and_drops_padding() -> None:
    vocabulary = Vocabulary(["dog", "cat"])
    assert vocabulary.decode([BOS, 5, PAD, UNK, 4, EOS, 5]) == ["cat", "<unk>", "dog"]
    with pytest.raises(DataError, match=r"Id 6 is no word: this vocabulary has 6 ids\."):
        vocabulary.decode([6])
    with pytest.raises(DataError, match="Id -1"):
        vocabulary.decode([-1])


def test_words_are_ordered_by_count_then_alphabet() -> None:
    assert Vocabulary.from_captions(CAPTIONS, minimum=1).words == ("a", "cat", "dog", "bites")
    assert Vocabulary.from_captions(CAPTIONS, minimum=2).words == ("a", "cat", "dog")
    assert Vocabulary.from_captions(CAPTIONS).words == ()


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=6), max_size=8), st.integers(1, 4))
def test_order_of_captions_does_not_matter(captions: list[list[str]], minimum: int) -> None:
    vocabulary = Vocabulary.from_captions(captions, minimum)
    assert vocabulary == Vocabulary.from_captions(reversed(captions), minimum)
    counts = Counter(word for caption in captions for word in caption)
    assert set(vocabulary.words) == {word for word in counts if counts[word] >= minimum}


def test_a_special_name_in_a_caption_is_no_word() -> None:
    assert Vocabulary.from_captions([["<unk>", "a"]] * 9).words == ("a",)


def test_saved_and_loaded(tmp_path: Path) -> None:
    vocabulary = Vocabulary(["a", "niño", "1\u00a01/2"])
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary


def test_a_changed_letter_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "vocabulary.json"
    Vocabulary(["a", "cat", "dog"]).save(file)
    text = file.read_text(encoding="utf-8")
    for changed in (text.replace("cat", "cut"), text.replace('"dog"', '"dog", "emu"')):
        file.write_text(changed, encoding="utf-8")
        with pytest.raises(DataError, match=r"vocabulary\.json: damaged \(its words do not have"):
            Vocabulary.load(file)


def test_a_file_without_a_checksum_is_of_an_earlier_version(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text('{"format": 1, "words": ["a", "cut"]}', encoding="utf-8")
    assert Vocabulary.load(tmp_path / "v.json").words == ("a", "cut")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "a"], r"Word 'a' stands twice in the vocabulary \(words 0 and 2\)"),
        (["a", ""], "Word 1 of the vocabulary, '', is empty or holds a blank"),
        (["two words"], "give single tokens, as tokenize returns them"),
        (["<eos>"], "names a special id; leave it out"),
        (["\ud800"], "half of a surrogate pair"),
        ([7], "is 7, a int; words are strings"),
    ],
)
def test_refused_words(words: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Vocabulary(words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 1, "words": ["a", "a"]}', r"v\.json: Word 'a' stands twice"),
        ('["a"]', r"v\.json: not a vocabulary; expected an object with 'format' and a list"),
        ('{"format": 2, "words": []}', "vocabulary format 2, this miacap reads 1"),
        ('{"format": 1, "words": [1]}', r"v\.json: Word 0 of the vocabulary is 1"),
        ("{", r"v\.json, line 1, column 2: not JSON"),
    ],
)
def test_refused_files(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "v.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Vocabulary.load(tmp_path / "v.json")
