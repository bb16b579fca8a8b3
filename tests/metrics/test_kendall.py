"""Kendall's tau against pairs counted one by one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.errors import DataError
from miacap.metrics.kendall import taus

values = st.one_of(st.integers(0, 4), st.floats(-1, 1))


def brute(x: list[float], y: list[float]) -> tuple[float, float]:
    n = len(x)
    surplus = ties_x = ties_y = 0
    for i in range(n):
        for j in range(i):
            dx, dy = (x[i] > x[j]) - (x[i] < x[j]), (y[i] > y[j]) - (y[i] < y[j])
            surplus += dx * dy
            ties_x += dx == 0
            ties_y += dy == 0
    pairs = n * (n - 1) / 2
    m = min(len(set(x)), len(set(y)))
    if m == 1:
        return math.nan, math.nan
    b = surplus / math.sqrt((pairs - ties_x) * (pairs - ties_y))
    return b, 2 * surplus * m / (n * n * (m - 1))


@given(st.lists(st.tuples(values, values), min_size=2, max_size=40))
def test_equal_to_brute_force(rows: list[tuple[float, float]]) -> None:
    x, y = [float(a) for a, _ in rows], [float(b) for _, b in rows]
    found = taus(x, y)
    expected = brute(x, y)
    assert (found.tau_b, found.tau_c) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_worked_example() -> None:
    found = taus([1, 2, 3], [1, 2, 2])
    assert found.tau_b == pytest.approx(2 / math.sqrt(6))
    assert found.tau_c == pytest.approx(8 / 9)


def test_many_values() -> None:
    rising = list(range(100_000))
    assert taus(rising, rising).tau_b == 1
    assert taus(rising, rising[::-1]).tau_b == -1


def test_nonsense_is_refused() -> None:
    with pytest.raises(DataError, match="two equally long rows, not 1 and 1"):
        taus([1], [1])
    with pytest.raises(DataError, match="finite"):
        taus([1, math.nan], [1, 2])
