"""Words of messages: the first few of many."""

import pytest

from miacap.wording import first_lines, first_names


@pytest.mark.parametrize(
    ("count", "lines", "names"),
    [
        (0, [], ""),
        (2, ["0", "1"], "0, 1"),
        (3, ["0", "1", "2"], "0, 1, 2"),
        (4, ["0", "1", "2", "and 1 more"], "0, 1, 2 and 1 more"),
        (2003, ["0", "1", "2", "and 2,000 more"], "0, 1, 2 and 2,000 more"),
    ],
)
def test_the_first_few_and_how_many_more(count: int, lines: list[str], names: str) -> None:
    assert first_lines(map(str, range(count)), 3) == lines
    assert first_names(map(str, range(count)), 3) == names
