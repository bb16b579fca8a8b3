"""Long JSON is parsed in a third of the time, with the results of the careful way."""

import gc
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miacap import reading
from miacap.errors import DataError

_TEXTS = st.text(st.sampled_from('ab":\\{[,]} 9\n'), max_size=6)
_VALUES = st.recursive(
    _TEXTS | st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=12,
)


def both(text: str) -> tuple[Any, Any]:
    """Value or message of the quick way and of the careful way."""
    results = []
    for long in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "_LONG", long)
            try:
                results.append(json.dumps(reading.parse_json(text, "x")))
            except DataError as error:
                results.append(str(error))
    return results[0], results[1]


@given(_VALUES, st.sampled_from([None, (",", ":"), (", ", " : ")]))
@settings(max_examples=300, deadline=None)
def test_quick_is_careful(value: Any, separators: Any) -> None:
    quick, careful = both(json.dumps(value, separators=separators))
    assert quick == careful


@given(st.text(st.sampled_from('a":\\{}[], 1'), max_size=14))
@settings(max_examples=300, deadline=None)
@example('{"a":1,"a":2}')
@example('{"a":1,"a":{"b" :2}}')
@example('{"a\\\\":1,"a\\\\":2}')
@example('{"a":"\\":","a":2}')
@example('[{"a":1},{"b":{"c":1,"c":2}}]')
@example("[" * 101 + "]" * 101)
@example("[" * 100 + "]" * 100)
@example("[" * 99999 + "]" * 99999)
@example("9" * 300)
@example("9" * 301)
@example("x" * 299 + "9" * 301)
@example('["' + "9" * 301 + '"]')
@example("[0." + "9" * 301 + "]")
@example(" " * 150 + "9" * 301)
@example("9" * 9999)
def test_quick_refuses_what_the_careful_way_refuses(text: str) -> None:
    quick, careful = both(text)
    assert quick == careful


@pytest.mark.parametrize("start", range(0, 302, 7))
@pytest.mark.parametrize("digits", [300, 301])
def test_a_long_number_is_seen_wherever_it_stands(start: int, digits: int) -> None:
    text = "[" + " " * start + "9" * digits + "]" + " " * 700
    assert reading._has_long_number(text) == (digits > 300)


def test_the_quick_way_is_taken() -> None:
    assert reading._parse_plain('{"a":"say \\"b\\": c","d":[{"e":1}]}') is not None
    assert reading._parse_plain('{"a":1,"a":2}') is None
    assert reading._parse_plain('{"a" :1}') is None


def test_the_collector_is_paused_and_goes_on() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="x"), reading.collector_paused():
        assert not gc.isenabled()
        with reading.collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise ValueError("x")
    assert gc.isenabled()
