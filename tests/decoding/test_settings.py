"""Search settings: what they mean, what they refuse, and that each reaches the search."""

from typing import Any

import pytest
from decoding_toys import Known, Toy, logs, pictures, said

from miacap.decoding import (
    BlockRepeats,
    ForbidWords,
    MinimumLength,
    SearchSettings,
    beam,
    greedy,
    search,
)
from miacap.decoding.searching import rules_of
from miacap.errors import SettingsError
from miacap.settings import from_json, to_json


def shy(picture: int, words: tuple[int, ...]) -> list[float]:
    """Rather says nothing; after a word goes on more often than not, and repeats itself."""
    if not words:
        return logs(a=0.29, b=0.01, end=0.7)
    return logs(a=0.3, b=0.2, end=0.5) if words[-1] == 5 else logs(a=0.45, b=0.2, end=0.35)


def caption(**settings: Any) -> str:
    return said(search(Known(shy), pictures(1), SearchSettings(**settings))[0])


def test_the_defaults() -> None:
    assert to_json(SearchSettings()) == {
        "beam": 3,
        "maximum_words": 20,
        "minimum_words": 1,
        "length_penalty": 0.0,
        "block_repeats": 0,
    }
    assert rules_of(SearchSettings()) == (MinimumLength(1),)
    assert rules_of(SearchSettings(minimum_words=0)) == ()
    assert rules_of(SearchSettings(block_repeats=2)) == (MinimumLength(1), BlockRepeats(2))


def test_each_setting_reaches_the_search() -> None:
    short = dict(beam=3, maximum_words=4)
    assert caption(**short) == "a."
    assert caption(**short, minimum_words=0) == "."
    assert caption(**short, minimum_words=2) == "aa."
    assert caption(**short, length_penalty=1.0) == "aaa."
    assert caption(**short, minimum_words=3, block_repeats=2) == "aab."
    assert caption(beam=3, maximum_words=2, minimum_words=2) == "aa"
    assert caption(beam=1, maximum_words=4) == "aaaa"
    assert caption(beam=1, maximum_words=4, minimum_words=0) == "."
    assert caption(beam=1, maximum_words=4, block_repeats=1) == "a."


def test_no_caption_is_empty_however_wide_the_beam() -> None:
    for width in (1, 2, 15, 40):
        assert caption(beam=width, maximum_words=6).strip(".")


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_search_is_greedy_or_a_beam(width: int) -> None:
    toy = Toy(9, seed=3)
    settings = SearchSettings(beam=width, maximum_words=7, minimum_words=0)
    result = search(toy, pictures(6), settings)
    wide = beam(toy, pictures(6), width=width, maximum=7)
    assert result == (greedy(toy, pictures(6), 7) if width == 1 else [row[0] for row in wide])


def test_a_length_penalty_is_not_lost_at_a_beam_of_one() -> None:
    def split(picture: int, words: tuple[int, ...]) -> list[float]:
        return logs(a=1.0) if not words else logs(a=0.45, end=0.55)

    one = dict(beam=1, maximum_words=6)
    assert said(search(Known(split), pictures(1), SearchSettings(**one))[0]) == "a."
    longer = SearchSettings(**one, length_penalty=3.0)
    assert len(search(Known(split), pictures(1), longer)[0].words) > 1


@pytest.mark.parametrize("width", [1, 3])
def test_rules_of_ones_own_join_those_of_the_settings(width: int) -> None:
    settings = SearchSettings(beam=width, maximum_words=4)
    rules = (ForbidWords((4,)), MinimumLength(2))
    hypothesis = search(
        Known(lambda p, w: logs(a=0.5, b=0.2, end=0.3)), pictures(1), settings, rules
    )
    assert said(hypothesis[0]) == "bb."


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(beam=0), "beam is at least 1, not 0"),
        (dict(maximum_words=0), "maximum_words is at least 1, not 0"),
        (dict(minimum_words=-1), "minimum_words is at least 0, not -1"),
        (dict(block_repeats=-1), "block_repeats is at least 0, not -1"),
        (dict(minimum_words=5, maximum_words=4), "at least 5 words has no room .* = 4"),
        (dict(length_penalty=-0.1), "length_penalty is at least 0, not -0.1"),
        (dict(length_penalty=11.0), "length_penalty is at most 10.0, not 11.0"),
        (dict(length_penalty=float("nan")), "length_penalty is at least 0, not nan"),
        (dict(maximum_words=1_001), "maximum_words is at most 1,000, not 1001"),
        (dict(beam=2**62), "beam is below 2"),
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        SearchSettings(**wrong)
    with pytest.raises(SettingsError, match="run: "):
        from_json(SearchSettings, wrong, "run")


def test_a_beam_refuses_a_penalty_too() -> None:
    with pytest.raises(SettingsError, match="length_penalty is at least 0, not -1"):
        beam(Toy(9), pictures(1), length_penalty=-1.0)
