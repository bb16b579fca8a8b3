"""The paraphrase table's arrays against a dictionary of phrases."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.errors import DataError
from miacap.metrics.meteor import table
from miacap.metrics.meteor.matches import Phrases
from miacap.metrics.meteor.paraphrases import Paraphrases

PAIRS = [
    ("a dog", "the dog"),
    ("a dog", "one dog"),
    ("a", "one"),
    ("dog", "big dog"),
    ("in front of", "before"),
    ("before", "in front of"),
]


def _write(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8", newline="\n") as file:
        file.writelines(f"0.5\n{a}\n{b}\n" for a, b in pairs)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Paraphrases:
    path = _write(tmp_path_factory.mktemp("table") / "small.gz", PAIRS)
    return Paraphrases(table.build(path, lambda _: None))


def _found(small: Paraphrases, candidate: str, reference: str) -> set[tuple[str, str, bool, bool]]:
    """Give (candidate phrase, reference phrase, listed under the reference's, the candidate's)."""
    ours, theirs = candidate.split(), reference.split()
    phrases = Phrases.find(small, [ours], [[theirs]])
    return {
        (
            " ".join(ours[i : i + k]),
            " ".join(theirs[j : j + n]),
            phrases.listed[node][other][0] is not None,
            phrases.listed[node][other][1] is not None,
        )
        for i, k, node in phrases.candidates[0]
        for j, n, other in phrases.references[0][0]
        if other in phrases.listed[node]
    }


def test_both_directions(small: Paraphrases) -> None:
    assert _found(small, "stand before it", "in front of it") == {
        ("before", "in front of", True, True)
    }
    assert _found(small, "one dog", "a dog") == {
        ("one dog", "a dog", True, False),
        ("one", "a", True, False),
    }
    assert _found(small, "dog", "a big dog") == {("dog", "big dog", False, True)}


def test_unknown_words_and_ends_of_sentences_match_nothing(small: Paraphrases) -> None:
    assert _found(small, "", "before") == set()
    assert _found(small, "in front", "before") == set()
    assert _found(small, "in \ud800 front of", "before") == set()
    none = Phrases.find(small, [], [])
    assert none.candidates == [] and none.listed == {}
    # a phrase does not run from one sentence into the next
    split = Phrases.find(small, [["before"]], [[["in", "front"], ["of"]]])
    assert split.references == [[[], []]]


words = st.sampled_from(["a", "b", "c"])
phrase = st.lists(words, min_size=1, max_size=4).map(" ".join)


@given(
    st.lists(st.tuples(phrase, phrase), min_size=1, max_size=12, unique=True),
    st.lists(words, max_size=7).map(" ".join),
    st.lists(words, max_size=7).map(" ".join),
)
def test_any_table(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: list[tuple[str, str]],
    candidate: str,
    reference: str,
) -> None:
    path = _write(tmp_path_factory.getbasetemp() / "any.gz", pairs)
    arrays = table.build(path, lambda _: None)
    keys = arrays["keys"].astype(np.int64)
    assert (np.diff(keys) > 0).all()

    def parts(line: str) -> set[str]:
        split = line.split()
        size = len(split)
        return {" ".join(split[i:j]) for i in range(size) for j in range(i + 1, size + 1)}

    listed = set(pairs)
    expected = {
        (ours, theirs, (theirs, ours) in listed, (ours, theirs) in listed)
        for ours in parts(candidate)
        for theirs in parts(reference)
        if {(theirs, ours), (ours, theirs)} & listed
    }
    assert _found(Paraphrases(arrays), candidate, reference) == expected


@pytest.mark.parametrize("damage", ["not gzip", "cut", "half an entry", "empty"])
def test_a_damaged_table_is_named(damage: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "table.gz", PAIRS * 50)
    whole = path.read_bytes()
    if damage == "not gzip":
        path.write_bytes(b"0.5\na\nb\n")
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.write_bytes(gzip.compress(b"0.5\na\n" if damage == "half an entry" else b""))
    with pytest.raises(DataError, match=r"table\.gz: .*install pycocoevalcap anew"):
        table.build(path, lambda _: None)
