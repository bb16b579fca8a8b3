"""Writers that are stopped lose nothing they had in hand; pictures may come once more."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from miacap.data import writing
from miacap.data.features import Given
from miacap.data.manifest import Manifest
from miacap.data.store import FeatureStore, StoreWriter

REGIONS = Manifest("regions", Given("test"), 4, None, None, "test")


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def offer(writer: StoreWriter, numbers: range) -> None:
    for number in numbers:
        name = f"p{number}"
        if name in writer.done:
            continue
        if number % 5 == 4:
            writer.set_aside(name, f"{name}: broken", photo=f"{number:064x}")
        else:
            rows = torch.full((1 + number % 2, 4), float(number))
            writer.add(name, rows, torch.full((len(rows), 4), number / 100), f"{number:064x}")


def stop_after(folder: Path, count: int, kind: type[BaseException] = KeyboardInterrupt) -> None:
    with pytest.raises(kind), StoreWriter(folder, REGIONS, 6) as writer:
        offer(writer, range(count))
        raise kind


def test_a_stopped_writer_loses_nothing(tmp_path: Path) -> None:
    folder, whole = tmp_path / "f", tmp_path / "whole"
    with StoreWriter(whole, REGIONS, 6) as writer:
        offer(writer, range(20))
    for count in (3, 4, 4, 5, 9, 12, 16):
        stop_after(folder, count, KeyboardInterrupt if count % 2 else OSError)
        store = FeatureStore.open(folder)
        assert len(store) + len(store.set_aside) == count
        last = max(number for number in range(count) if number % 5 != 4)
        assert torch.equal(store.rows(f"p{last}")[0], torch.full((4,), float(last)).half())
        assert store.photos == {f"p{n}": f"{n:064x}" for n in range(count)}
        assert len(list(folder.glob("unfinished-*"))) == (2 if count % 6 else 0)
    with StoreWriter(folder, REGIONS, 6) as writer:
        assert len(writer.done) == 16
        offer(writer, range(20))
    assert everything(folder) == everything(whole)


def test_what_is_in_hand_is_kept_though_all_was_set_aside(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), StoreWriter(tmp_path, REGIONS, 6) as writer:
        writer.set_aside("a", "a: broken")
        raise KeyboardInterrupt
    assert FeatureStore.open(tmp_path).set_aside == {"a": "a: broken"}
    with StoreWriter(tmp_path, REGIONS, 6) as writer:
        assert writer.done == {"a"} and writer.reasons == {"a": "a: broken"}


def test_an_unfinished_shard_that_was_finished_no_longer_counts(tmp_path: Path) -> None:
    stop_after(tmp_path, 3)
    kept = {p.name: p.read_bytes() for p in tmp_path.glob("unfinished-*")}
    with StoreWriter(tmp_path, REGIONS, 6) as writer:
        offer(writer, range(6))
    for name, data in kept.items():  # as if killed before they were removed
        (tmp_path / name).write_bytes(data)
    assert len(FeatureStore.open(tmp_path)) == 5
    with StoreWriter(tmp_path, REGIONS, 6) as writer:
        offer(writer, range(7))
    assert not list(tmp_path.glob("unfinished-*"))


def test_of_two_unfinished_shards_the_later_counts(tmp_path: Path) -> None:
    stop_after(tmp_path, 2)
    old = {p.name: p.read_bytes() for p in tmp_path.glob("unfinished-*")}
    stop_after(tmp_path, 4)
    for name, data in old.items():  # as if killed before they were removed
        (tmp_path / name).write_bytes(data)
    assert len(FeatureStore.open(tmp_path)) == 4
    stop_after(tmp_path, 5)
    assert len(list(tmp_path.glob("unfinished-*"))) == 2
    assert len(FeatureStore.open(tmp_path).names) == 4


@pytest.mark.parametrize("finished", [True, False])
def test_pictures_may_come_once_more(tmp_path: Path, finished: bool) -> None:
    with StoreWriter(tmp_path, REGIONS, 2 if finished else 99) as writer:
        offer(writer, range(6))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), StoreWriter(tmp_path, REGIONS, 99) as writer:
            assert "p0" in writer.done
            writer.retry(["p0", "p4", "p1", "nobody"])
            assert writer.done == {"p2", "p3", "p5"}
            box = torch.zeros(1, 4)
            writer.add("p0", torch.full((1, 4), 70.0), box, photo="ab" * 32)
            writer.set_aside("p1", "p1: broken now")
            writer.add("p4", torch.full((1, 4), 74.0), box)
            raise KeyboardInterrupt
        store = FeatureStore.open(tmp_path)
        assert set(store.names) == {"p0", "p2", "p3", "p4", "p5"}
        assert store.set_aside == {"p1": "p1: broken now"}
        assert store.rows("p0")[0, 0] == 70 and store.rows("p4")[0, 0] == 74
        assert store.rows("p2")[0, 0] == 2
        assert store.photos["p0"] == "ab" * 32
        assert "p1" not in store.photos and "p4" not in store.photos


def test_what_comes_no_more_after_a_retry_stays_as_it_was(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, REGIONS) as writer:
        offer(writer, range(6))
    before = everything(tmp_path)
    with StoreWriter(tmp_path, REGIONS) as writer:
        writer.retry(["p0", "p4"])
    assert everything(tmp_path) == before


def test_a_killed_writer_loses_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("miacap.data.writing.time.monotonic", lambda: now[0])
    with StoreWriter(tmp_path, REGIONS, 99) as writer:
        for number, seconds in enumerate((0, 30, 59, 61, 100, 122)):
            now[0] = seconds
            offer(writer, range(number + 1))
            kept = FeatureStore.open(tmp_path)
            assert len(kept) + len(kept.set_aside) == (0, 0, 0, 4, 4, 6)[number]
    assert not list(tmp_path.glob("unfinished-*"))


def test_a_picture_in_hand_that_comes_once_more_counts_once(tmp_path: Path) -> None:
    stop_after(tmp_path, 3)
    with StoreWriter(tmp_path, REGIONS, 6) as writer:
        writer.retry(["p1"])
        writer.add("p1", torch.full((1, 4), 9.0), torch.zeros(1, 4))
    store = FeatureStore.open(tmp_path)
    assert set(store.names) == {"p0", "p1", "p2"} and store.rows("p1").shape == (1, 4)
    assert '"again"' not in (tmp_path / "shard-00000.json").read_text()


class Interrupt:
    """Ctrl-C at the n-th line that the writing functions run, counted over all of them."""

    CODES = frozenset(
        function.__code__
        for function in (
            StoreWriter._take,
            StoreWriter._finish,
            StoreWriter._keep,
        )
    )

    def __init__(self, line: int) -> None:
        self.left = line
        self.came = False

    def __enter__(self) -> "Interrupt":
        self.before = sys.gettrace()
        sys.settrace(self.enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def enter(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        return self.line if frame.f_code in self.CODES else None

    def line(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "line" and not self.came:
            self.left -= 1
            if self.left < 0:
                self.came = True
                raise KeyboardInterrupt
        return self.line


def full(number: float) -> torch.Tensor:
    return torch.full((1, 4), number)


@pytest.mark.parametrize("seconds_at_risk", [60.0, -1.0])
def test_ctrl_c_at_any_line_leaves_a_store_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_at_risk: float
) -> None:
    monkeypatch.setattr(writing, "_SECONDS_AT_RISK", seconds_at_risk)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    line, came = 0, True
    while came:
        folder = tmp_path / str(line)
        with pytest.raises(OSError, match="stop"), StoreWriter(folder, REGIONS, 3) as writer:
            for number, name in enumerate("abcd"):
                writer.add(name, full(number))
            raise OSError("stop")
        added = []
        with Interrupt(line) as interrupt:
            try:
                with StoreWriter(folder, REGIONS, 3) as writer:
                    writer.retry(["a", "d"])
                    for number, name in enumerate("adefg", 10):
                        writer.add(name, full(number))
                        added.append(name)
            except KeyboardInterrupt:
                assert interrupt.came
        came = interrupt.came
        new = dict(zip("adefg", range(10, 15), strict=True))
        old = dict(zip("abcd", range(4), strict=True))
        store = FeatureStore.open(folder)
        for name in {*old, *added}:
            value = float(store.rows(name)[0, 0])
            assert value == new[name] if name in added else value in (old[name], new.get(name))
        with StoreWriter(folder, REGIONS, 3) as writer:
            for name, number in new.items():
                if name not in writer.done:
                    writer.add(name, full(number))
        store = FeatureStore.open(folder)
        assert sorted(store.names) == sorted("abcdefg")
        assert all(float(store.rows(name)[0, 0]) == new[name] for name in "efg")
        line += 1
    assert line > 50
