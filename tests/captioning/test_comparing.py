"""Captions of two runs beside each other."""

import pytest

from miacap.captioning import Row, compare
from miacap.errors import DataError


def test_captions_that_differ_are_counted_and_errors_are_not() -> None:
    ours = (Row("a", "A dog."), Row("b", "A cat."), Row("c", error="c: no"), Row("d", "A bird."))
    theirs = (Row("a", "A dog."), Row("b", "A car."), Row("c", "A cow."), Row("d", error="d: no"))
    found = compare(ours, theirs)
    assert (found.compared, found.differing) == (2, (("b", "A cat.", "A car."),))
    assert found.share == 0.5


def test_captions_of_other_pictures_are_refused() -> None:
    with pytest.raises(DataError, match="of different pictures"):
        compare((Row("a", "A dog."),), (Row("b", "A dog."),))
    with pytest.raises(DataError, match="nothing can be compared"):
        compare((Row("a", "A dog."),), (Row("a", error="a: no"),))
