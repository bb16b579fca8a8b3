"""The compiled loops and numpy give the same bits."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.metrics import score, speed
from miacap.metrics.corpus import intern
from miacap.metrics.speed import loops

if loops(10**9) is None:
    pytest.skip("numba is not installed", allow_module_level=True)

WORDS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")


def both(references: Any, candidates: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found = []
    for choice in "01":
        monkeypatch.setenv("MIACAP_COMPILED", choice)
        found.append(score(references, candidates, WORDS, tokenized=True))
    return found


def assert_same_bits(pair: list[Any]) -> None:
    plain, compiled = pair
    assert dict(plain) == dict(compiled)
    assert plain.per_picture == compiled.per_picture


@pytest.mark.parametrize("name", ["edge", "fakecap"])
def test_same_bits_on_official_tokens(
    golden: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = golden(name)
    assert_same_bits(both(data.tokenized_references, data.tokenized_candidates, monkeypatch))


text = st.text(st.sampled_from("ab é\u00a0\u3000\t\n\r\x00\ud800\U0001f600"), max_size=12)
pictures = st.lists(st.tuples(text, st.lists(text, min_size=1, max_size=3)), min_size=1, max_size=4)


@settings(deadline=None)
@given(pictures)
def test_same_bits_on_any_text(drawn: list[tuple[str, list[str]]]) -> None:
    candidates, references = [c for c, _ in drawn], [r for _, r in drawn]
    with pytest.MonkeyPatch.context() as patch:
        assert_same_bits(both(references, candidates, patch))


def test_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, references = ["a bé  a", "\ud800 \x1c x"], [["c a"], ["", "é"]]
    found = []
    for choice in "01":
        monkeypatch.setenv("MIACAP_COMPILED", choice)
        found.append(intern(candidates, references))
    plain, compiled = found
    spelt = [[c.vocabulary[w] for w in c.words.tolist()] for c in (plain, compiled)]
    assert spelt[0] == spelt[1] == ["a", "bé", "a", "c", "a", "\ud800", "x", "é"]
    assert np.array_equal(plain.lengths, compiled.lengths)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has counted nothing and loaded no loops."""
    monkeypatch.delenv("MIACAP_COMPILED", raising=False)
    monkeypatch.delitem(sys.modules, speed._COMPILED, raising=False)
    monkeypatch.setattr(speed._Counted, "sentences", 0)
    monkeypatch.setattr(speed, "_load", lambda: speed)


def test_a_single_call_waits_for_numba_where_that_pays(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [loops(30_000) for _ in range(3)] == [None] * 3
    assert loops(90_000) is speed
    monkeypatch.setenv("MIACAP_COMPILED", "0")
    assert loops(90_000) is None


def test_many_calls_go_over_to_numba(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [loops(6_000) for _ in range(60)]
    assert calls[:44] == [None] * 44
    assert calls[44:] == [speed] * 16


def test_loops_that_are_loaded_count(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loops(10) is None
    monkeypatch.setitem(sys.modules, speed._COMPILED, speed)
    assert loops(10) is speed


def test_long_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    long = " ".join(f"w{i % 97}" for i in range(2_000))
    assert_same_bits(both([[long, "w1 w2"], ["w3"]], [f"w5 {long}", long], monkeypatch))
