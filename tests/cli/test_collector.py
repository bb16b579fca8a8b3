"""The collector of cycles waits while a command loads, and works as usual from then on."""

import atexit
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from miacap.cli import collector


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(atexit, "register", lambda *_: None)
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*threshold)


class Node:
    """May be part of a cycle."""

    me: Any


def test_the_first_collection_comes_late_and_the_others_as_usual() -> None:
    gc.collect()
    gc.set_threshold(500, 10, 10)
    collector.keep_away()
    began = gc.get_stats()[0]["collections"]
    kept = [[index] for index in range(collector.OBJECTS // 2)]
    assert gc.get_stats()[0]["collections"] == began
    kept += [[index] for index in range(collector.OBJECTS)]
    assert gc.get_stats()[0]["collections"] > began
    assert gc.get_threshold() == (500, 10, 10)


def test_a_collection_that_somebody_asks_for_is_the_first() -> None:
    gc.set_threshold(500, 10, 10)
    before = len(gc.callbacks)
    collector.keep_away()
    node = Node()
    node.me = node
    del node
    assert gc.collect() > 0
    assert gc.get_threshold() == (500, 10, 10) and len(gc.callbacks) == before


@pytest.mark.parametrize("usual", [(0, 10, 10), (10**6, 5, 5)])
def test_who_wants_it_later_or_never_keeps_that(usual: tuple[int, int, int]) -> None:
    before = len(gc.callbacks)
    gc.set_threshold(*usual)
    collector.keep_away()
    assert gc.get_threshold() == usual and len(gc.callbacks) == before


def test_the_end_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(atexit, "register", asked.append)
    collector.keep_away()
    assert asked == [gc.freeze]
