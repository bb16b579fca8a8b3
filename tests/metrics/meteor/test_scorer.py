"""METEOR against the official program: every statistic, score and alignment."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.metrics.meteor import Meteor, MeteorScores, aggregate
from miacap.text import tokenize

VOCABULARY = ["a", "the", "dog", "dogs", "big", "large", "in", "front", "of", "before", "running"]


def _check(found: MeteorScores, golden: dict[str, Any]) -> None:
    """Assert that every statistic, score and the corpus value are the official ones."""
    assert found.statistics.tolist() == golden["meteor_stats"]
    official = np.array(golden["per_image"]["METEOR"])
    assert np.abs(np.array(found.per_picture) - official).max() <= 1e-12
    assert abs(found.corpus - golden["corpus"]["METEOR"]) <= 1e-12
    assert aggregate(found.statistics) == found.corpus


def test_written_cases(meteor: Meteor, official_cases: list[dict[str, Any]]) -> None:
    found = meteor.score(
        [row["references"] for row in official_cases],
        [row["candidate"] for row in official_cases],
    )
    for row, statistics, value in zip(
        official_cases, found.statistics.tolist(), found.per_picture, strict=True
    ):
        assert statistics == row["statistics"], row
        assert value == pytest.approx(row["score"], abs=1e-12), row


@pytest.mark.parametrize("name", ["edge", "fakecap"])
def test_golden(meteor: Meteor, golden: Callable[[str], Any], name: str) -> None:
    official = golden(name)
    found = meteor.score(official.tokenized_references, official.tokenized_candidates)
    _check(found, official.content)


@pytest.mark.slow
def test_golden_val5k(meteor: Meteor, golden: Callable[[str], Any]) -> None:
    official = golden("val5k_model")
    found = meteor.score(
        [[" ".join(tokenize(line)) for line in group] for group in official.references],
        [" ".join(tokenize(line)) for line in official.candidates],
    )
    _check(found, official.content)


def _check_alignments(meteor: Meteor, golden: Any, shared: Path, name: str, every: int) -> None:
    with gzip.open(shared / "metrics" / f"meteor_align_{name}.json.gz", "rt") as file:
        rows = json.load(file)["rows"]
    tokenized = {row["id"]: row for row in golden.content["tokenized"]}
    for row in rows[::every]:
        raw = tokenized[row["id"]]
        found = meteor.align(raw["references"][row["ref"]], raw["candidate"])
        assert " ".join(found.candidate) == row["candidate"]
        assert " ".join(found.reference) == row["reference"]
        assert [list(match) for match in found.matches] == row["matches"], row
        assert found.chunks == row["chunks"]
        assert found.score == pytest.approx(row["score"], abs=1e-12)


@pytest.mark.parametrize("name", ["edge", "fakecap"])
def test_some_alignments(
    meteor: Meteor, golden: Callable[[str], Any], shared: Path, name: str
) -> None:
    _check_alignments(meteor, golden(name), shared, name, 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edge", "fakecap"])
def test_all_alignments(
    meteor: Meteor, golden: Callable[[str], Any], shared: Path, name: str
) -> None:
    _check_alignments(meteor, golden(name), shared, name, 1)


@pytest.mark.parametrize(
    ("candidate", "reference", "module"),
    [
        ("the red dog", "the red dog", 0),
        ("the running dog", "the runs dog", 1),
        ("the bat dog", "the chiropteran dog", 2),
        ("the in front of dog", "the before dog", 3),
        ("the 35t dog", "the 1st dog", 0),  # one word by Java's hash
    ],
)
def test_modules(meteor: Meteor, candidate: str, reference: str, module: int) -> None:
    """Official results; inside a chunk, where a lone word is worth matching."""
    found = meteor.align(reference, candidate)
    assert found.matches[1][4] == module
    assert len(found.matches) == 3
    assert found.chunks == 1


def test_the_first_best_reference_counts(meteor: Meteor) -> None:
    found = meteor.score([["trees", "the dog ran", "the dog sat", ""]], ["the dog"])
    assert found.statistics[0].tolist() == meteor.align("the dog ran", "the dog").statistics
    nothing = meteor.score([["a dog ran", "cats"]], [""])
    assert nothing.statistics[0, :4].tolist() == [0, 3, 0, 1]


def test_three_bars_as_the_official_program_takes_them(meteor: Meteor) -> None:
    """They end a reference, and vanish from a candidate."""
    split = meteor.score([["a dog ||| a cat"], ["x"]], ["a cat", "x"])
    assert split.per_picture == [1.0, 1.0]
    assert meteor.align("a cat", "a|||  cat").score == meteor.align("a cat", "a cat").score


def test_no_picture_and_no_reference(meteor: Meteor) -> None:
    empty = meteor.score([], [])
    assert (empty.corpus, empty.per_picture, empty.statistics.shape) == (0.0, [], (0, 23))
    assert meteor.score([[]], ["a dog"]).per_picture == [0.0]
    with pytest.raises(ValueError, match="candidates: 2, pictures: 1"):
        meteor.score([["a"]], ["a", "b"])


def test_blocks_change_nothing(meteor: Meteor, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    lines = [" ".join(rng.choices(VOCABULARY, k=rng.randint(0, 9))) for _ in range(60)]
    references = [lines[i : i + 3] for i in range(0, 30)]
    whole = meteor.score(references, lines[30:])
    monkeypatch.setattr("miacap.metrics.meteor.scorer._BLOCK", 7)
    parts = meteor.score(references, lines[30:])
    assert np.array_equal(whole.statistics, parts.statistics)
    assert whole.corpus == parts.corpus


odd = st.text(alphabet="ab .,|'-\n\r\t\x00\x0b\u2028\ud800\u00e9\u4e2d", max_size=25)
captions = odd | st.lists(
    st.sampled_from([*VOCABULARY, "well", "as", "c5", ".", "'s"]),
    max_size=12,
).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_strings(meteor: Meteor, data: st.DataObject) -> None:
    """No crash, bounds kept, no picture touches another, order never matters."""
    pictures = data.draw(
        st.lists(st.tuples(captions, st.lists(captions, max_size=3)), min_size=1, max_size=5)
    )
    found = meteor.score([r for _, r in pictures], [c for c, _ in pictures])
    assert all(0 <= value <= 1 for value in [found.corpus, *found.per_picture])
    for (candidate, references), value in zip(pictures, found.per_picture, strict=True):
        assert meteor.score([references], [candidate]).per_picture == [value]
    turned = meteor.score([r for _, r in pictures[::-1]], [c for c, _ in pictures[::-1]])
    assert turned.per_picture == found.per_picture[::-1]
    assert turned.corpus == found.corpus


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["dog", "big", "runs", "a", "over", "c5"]), min_size=1, max_size=20)
)
def test_an_identical_caption_is_perfect(meteor: Meteor, words: list[str]) -> None:
    line = " ".join(words)
    assert meteor.score([[line]], [line]).per_picture == [1.0]
