"""Alternative texts: their length, how they begin, how they end, and what they say when unsure."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import miacap
from miacap.captioning import Candidate, Row
from miacap.captioning.alt_text import DOUBT, LIMIT, alt_text, check_limit, rules_for, wide
from miacap.cli.caption import _LIMIT
from miacap.decoding import SearchSettings
from miacap.errors import SettingsError
from miacap.metrics.diversity import BAD_ENDINGS
from miacap.runs import Confidence
from miacap.text import Vocabulary, detokenize, tokenize

UNSURE, SURE = Confidence(0.7, True, False), Confidence(0.2, False, False)
TOKENS = (
    "a",
    "dog",
    "i",
    "at&t",
    "-lrb-",
    "``",
    "--",
    "n't",
    "'s",
    "$",
    "12",
    "st.",
    "’",
    "o'clock",
)


@pytest.mark.parametrize("limit", [25, 40, 125])
def test_texts_of_a_run_keep_their_limit(world, tmp_path: Path, limit: int) -> None:
    photos = [world.dataset.photos.read(name) for name in world.dataset.ids[:6]]
    for row in miacap.load(world.run("plain"), alt_text=limit, best=3).rows(photos):
        for text in (row.caption, *(c.caption for c in row.candidates)):
            assert text and len(text) <= limit
            assert text[0] == text[0].upper() and text.endswith(".")
            assert tokenize(text)[-1] not in BAD_ENDINGS
        assert row.candidates[0].caption == row.caption


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=6))
def test_a_sentence_is_no_longer_than_its_words_with_a_blank_each(words: list[str]) -> None:
    """What the limit counts on."""
    assert len(detokenize(words)) <= sum(len(word) + 1 for word in words)


def test_no_text_begins_as_a_photo_of() -> None:
    words = ["a", "photo", "of", "black", "and", "white", "dog", "image", "the", "this", "is"]
    vocabulary = Vocabulary(words)
    limit, openings = rules_for(vocabulary, 60, may_doubt=False)

    def allowed(said: str, word: str) -> bool:
        logits = torch.zeros(1, 1, len(vocabulary))
        ids = torch.tensor([[vocabulary.encode(said.split())]], dtype=torch.long)
        for rule in (limit, openings):
            logits = rule(logits, ids, 9)
        return bool(logits[0, 0, vocabulary.id(word)].isfinite())

    for said, word in (
        ("", "photo"), ("a", "photo"), ("the", "image"), ("a black and white", "photo"),
        ("this is a", "photo"), ("this is", "image"),
    ):  # fmt: skip
        assert not allowed(said, word), (said, word)
        assert allowed(said, "dog")
    assert allowed("a dog and a", "photo")


def test_room_is_left_for_doubt_only_where_doubt_can_be() -> None:
    vocabulary = Vocabulary(["dog", "elephants", "a"])
    sure, unsure = (rules_for(vocabulary, 25, may_doubt=doubt)[0] for doubt in (False, True))
    assert sure.limit == 25 and unsure.limit == 25 - len(DOUBT)
    assert sure.lengths == (5, 5, 5, 5, 3, 9, 1) and sure.open_endings == (6,)


@pytest.mark.parametrize(
    ("caption", "confidence", "text"),
    [
        ("A dog runs.", UNSURE, "Perhaps: a dog runs."),
        ("A dog runs.", SURE, "A dog runs."),
        ("A dog runs.", None, "A dog runs."),
        ("A dog runs.", Confidence(None, True, True), "Perhaps: a dog runs."),
        ("I see a dog.", UNSURE, "Perhaps: I see a dog."),
        ("I.", UNSURE, "Perhaps: I."),
        ("I'm here.", UNSURE, "Perhaps: I'm here."),
        ("AT&T shop.", UNSURE, "Perhaps: AT&T shop."),
        ("", UNSURE, ""),
        (None, UNSURE, None),
    ],
)
def test_an_unsure_text_says_so(caption: str, confidence: Confidence, text: str) -> None:
    (row,) = alt_text(iter([Row("a", caption, confidence=confidence)]))
    assert row.caption == text


def test_every_candidate_of_an_unsure_row_says_so() -> None:
    texts = ("A dog runs.", "I see it.", "")
    candidates = tuple(Candidate(text, -1.0, -0.5, ()) for text in texts)
    (row,) = alt_text(iter([Row("a", texts[0], confidence=UNSURE, candidates=candidates)]))
    doubted = ["Perhaps: a dog runs.", "Perhaps: I see it.", ""]
    assert [one.caption for one in row.candidates] == doubted
    assert row.caption == row.candidates[0].caption
    (row,) = alt_text(iter([Row("a", texts[0], confidence=SURE, candidates=candidates)]))
    assert row.candidates == candidates


def test_limits_that_hold_no_sentence_are_refused(world) -> None:
    for wrong in (0, 24, 10_001):
        with pytest.raises(SettingsError, match="alt_text is at"):
            check_limit(wrong)
    with pytest.raises(SettingsError, match="alt_text is at least 25"):
        miacap.load(world.run("plain"), alt_text=0)
    assert _LIMIT == LIMIT
    found = wide(SearchSettings(beam=3, minimum_words=0))
    assert (found.beam, found.minimum_words) == (10, 1)
    assert wide(SearchSettings(beam=20, minimum_words=4)) == SearchSettings(
        beam=20, minimum_words=4
    )
