"""Kill work again and again, anywhere and while a checkpoint is written.

Work is done in a forked child of the test: torch is loaded there already, and the child has one
thread. What is left afterwards is held against work that was left alone.
"""

import hashlib
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection
from pathlib import Path

import torch

Work = Callable[[], object]
SECONDS = 240.0
"""Within which a child takes its next step, on a machine with much else to do."""


def forked(work: Work) -> int:
    """Do something in a child of this process."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        # Threads that the tests before this one left to torch are not in the child, which would
        # wait for them for ever.
        torch.set_num_threads(1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()  # nobody else tells it
        sys.stderr.flush()
    finally:
        os._exit(code)


def ended(child: int) -> int | None:
    """The signal that killed a child; None where it came to its own end."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0
    return None


def left_alone(work: Work) -> None:
    """Do something in a child, to its end."""
    assert ended(forked(work)) is None


def newest(folder: Path) -> int:
    """The step of the newest checkpoint of a training's folder."""
    steps = [int(path.stem[5:]) for path in (folder / "checkpoints").glob("step-*.json")]
    return max(steps, default=0)


def last_tensors(folder: Path) -> Path:
    """The tensors of the newest checkpoint."""
    return sorted((folder / "checkpoints").glob("step-*.safetensors"))[-1]


def kill_inside(work: Work, folder: Path, names: Collection[str]) -> None:
    """Have the work killed each time when a file of such a name is half written.

    Args:
        work: goes on where it was.
        folder: of the work.
        names: parts of names of files, in the order in which the work comes to them.
    """
    for inside in names:
        assert ended(forked(_dying(work, inside))) == signal.SIGKILL, inside
        assert any(inside in path.name for path in folder.rglob("*.part")), inside


def kill_often(work: Work, reached: Callable[[], int], seed: str, kills: int = 20) -> None:
    """Kill the work at seeded moments, none of them after its end.

    Args:
        work: goes on where it was.
        reached: how far it is: steps that cannot be lost any more.
        seed: of the moments: after so many more steps, and anywhere within the next.
        kills: how often.
    """
    moments, first = random.Random(seed), reached()
    for kill in range(kills):
        wanted = reached() + moments.choice((0, 0, 1, 2))
        child = forked(work)
        _wait(lambda wanted=wanted: reached() >= wanted)  # type: ignore[misc]
        time.sleep(moments.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert ended(child) == signal.SIGKILL, f"it had ended before kill {kill}"
    assert reached() > first + 5  # it came forward in between


def kill_after(
    work: Work, folder: Path, appearing: Collection[str], seed: int, within: float = 0.05
) -> int:
    """Kill the work a little after each of these is there; give how often that was in time.

    Args:
        work: goes on where it was.
        folder: of the work.
        appearing: paths in it, in the order in which they come.
        seed: of the delays.
        within: their most, in seconds.
    """
    delays, kills = random.Random(seed), 0
    for name in appearing:
        child = forked(work)
        done: list[int | None] = []

        def over(name: str = name, child: int = child, done: list[int | None] = done) -> bool:
            if not done and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                done.append(None)
            return bool(done) or (folder / name).exists()

        _wait(over)
        time.sleep(delays.uniform(0.0, within))
        os.kill(child, signal.SIGKILL)
        kills += ended(child) == signal.SIGKILL
    return kills


def contents(folder: Path, without: Collection[str] = ()) -> dict[str, str]:
    """Checksums of all files, those of some names left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in without
    }


def _wait(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < deadline, "it comes no further"
        time.sleep(0.001)


def _dying(work: Work, inside: str) -> Work:
    """Do something, and be killed when a file of this name is written and not yet there."""

    def doing() -> None:
        real = os.fsync

        def fsync(file: int) -> None:
            if inside in os.readlink(f"/proc/self/fd/{file}"):
                os.kill(os.getpid(), signal.SIGKILL)
            real(file)

        os.fsync = fsync
        work()

    return doing
