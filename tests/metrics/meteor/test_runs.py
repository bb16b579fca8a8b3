"""Sums of distances over many options at once, against plain loops."""

from hypothesis import given
from hypothesis import strategies as st

from miacap.metrics.meteor.matches import option
from miacap.metrics.meteor.runs import Run

WORDS = 70  # more than one machine word of bits


@given(
    st.lists(st.tuples(st.integers(0, WORDS), st.integers(1, 4)), min_size=1, max_size=30),
    st.sets(st.integers(0, WORDS + 4), max_size=40),
    st.integers(0, 2 * WORDS),
    st.data(),
)
def test_equals_the_plain_loop(
    pairs: list[tuple[int, int]], taken: set[int], position: int, data: st.DataObject
) -> None:
    """Options of several lengths, equal ones too; any part of a run that begins inside a list."""
    other = option(0, 1, 1, 0)
    entries = [other, *(option(start, n, 1, 3) for start, n in sorted(pairs)), other]
    end = len(entries) - 1
    run = Run(entries, 1, end)
    first = data.draw(st.integers(1, end))
    last = data.draw(st.integers(first, end))
    expected = sum(
        abs(entry.start - position)
        for entry in entries[first:last]
        if taken.isdisjoint(range(entry.start, entry.start + entry.length))
    )
    assert run.distance(first, last, sum(1 << word for word in taken), position) == expected


def test_by_hand() -> None:
    run = Run([option(start, 1, 1, 0) for start in (1, 4, 6, 9)], 0, 4)
    # 4 is taken, so |1 - 5| + |6 - 5| before the option at 9.
    assert run.distance(0, 3, 1 << 4, 5) == 5
    assert run.beginning[9] == [3]
    assert run.mask == 0b1001010010


def test_an_option_is_free_if_all_its_words_are() -> None:
    run = Run([option(start, 3, 1, 3) for start in (2, 5, 9)], 0, 3)
    # Words 4 and 10 are taken: the options at 2 and 9 are blocked by their last and second word.
    assert run.distance(0, 3, 1 << 4 | 1 << 10, 0) == 5
    assert run.distance(0, 3, 1 << 8, 0) == 2 + 5 + 9
