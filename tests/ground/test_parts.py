"""Which of several processes this is, what its part of some work is, and who speaks."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from miacap import parts, terminal
from miacap.errors import RunError
from miacap.parts import ALONE, WHOLE, Part
from miacap.progress import Progress


def launched(monkeypatch: pytest.MonkeyPatch, rank: str, world: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)


@given(some.lists(some.integers()), some.integers(1, 9))
def test_all_parts_together_have_each_item_once(items: list[int], world: int) -> None:
    shares = [list(Part(rank, world).of(items)) for rank in range(world)]
    again: list[int] = []
    for round_ in range(len(items)):
        again += [share[round_] for share in shares if round_ < len(share)]
    assert again == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert list(WHOLE.of(items)) == items == list(ALONE.in_turn(iter(items)))  # type: ignore[arg-type]


def test_the_environment_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "3")
    assert parts.own() == WHOLE and parts.speaks() and parts.title() == ""
    launched(monkeypatch, "0", "1")
    assert parts.own() == WHOLE
    parts.require_alone("`miacap demo`")
    launched(monkeypatch, "2", "3")
    assert parts.own() == Part(2, 3) and not parts.speaks()
    assert parts.title() == "process 2 of 3"
    with pytest.raises(RunError, match="`miacap demo` is the work of one process and 3 were"):
        parts.require_alone("`miacap demo`")


@pytest.mark.parametrize(("rank", "world"), [("2", "2"), ("", "2"), ("one", "2"), ("0", "two")])
def test_an_environment_without_sense(
    monkeypatch: pytest.MonkeyPatch, rank: str, world: str
) -> None:
    launched(monkeypatch, rank, world)
    with pytest.raises(RunError, match=f"WORLD_SIZE='{world}' and RANK='{rank}', which name no"):
        parts.own()


def test_one_process_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank in ("0", "1"):
        launched(monkeypatch, rank, "2")
        terminal.tell("a note")
        terminal.result("a result")
        terminal.tell_end("it broke")
        with Progress("work", unit="photos") as progress:
            progress.note("noted")
        out, err = capsys.readouterr()
        if rank == "0":
            assert out == "a result\n"
            assert err.startswith("a note\nmiacap: it broke\nnoted\nwork: 0 photos")
        else:
            assert (out, err) == ("", "miacap, process 1 of 2: it broke\n")


@pytest.mark.parametrize(
    "command",
    [
        ["demo"],
        ["score", "a", "b"],
        ["concepts", "train", "x", "--features", "y", "-o", "z"],
        ["features", "read", "x", "y", "-o", "z"],
    ],
)
def test_what_cannot_be_shared_is_refused(command: list[str]) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "miacap", *command],
        env={"RANK": "0", "WORLD_SIZE": "2", "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert "is the work of one process and 2 were launched" in found.stderr
