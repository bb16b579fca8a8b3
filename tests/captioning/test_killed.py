"""Killed twenty times at seeded moments, thrice inside a checkpoint, a training ends the same."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from miacap import runs
from miacap.runs import CrossEntropy, Run, RunSettings, SelfCritical

from ..records import evaluations
from .small import World, fit, make, settings

KILLS = 20
INSIDE = (".best-", ".step-000000009.safetensors", ".step-000000012.json")
"""What is half written when the process kills itself."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at open files in /proc"),
]

OBJECTIVES: dict[str, tuple[Any, dict[str, Any]]] = {
    "cross-entropy": (
        CrossEntropy(
            label_smoothing=0.1, sampling_most=0.5, sampling_increase=0.25, sampling_every=1
        ),
        {"optimiser": "rmsprop", "clip_value": 0.1, "average": "exponential", "accumulate": 2,
         "schedule": "exponential"},
    ),
    "self-critical mean": (SelfCritical(), {"average": "epochs", "average_epochs": 3}),
    "self-critical greedy": (
        SelfCritical(baseline="greedy", samples=2, dropout=True, rewards={"BLEU-4": 1.0}),
        {"watch": "reward", "optimiser": "sgd", "warmup_steps": 5},
    ),
    "self-critical beam": (SelfCritical(baseline="beam", samples=3), {"average": "exponential"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def begun(world: World) -> Run:
    return fit(world, world.root / "begun", settings("up-down", "plain", dropout=0.3), None)


def forked(work: Callable[[], object]) -> int:
    """Do something in a child of this process; torch is loaded there already."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def ended(child: int) -> int | None:
    """The signal that killed a child; None where it came to its own end."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0
    return None


def dying(work: Callable[[], object], inside: str) -> Callable[[], object]:
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


def reached(folder: Path) -> int:
    """The step of the newest checkpoint."""
    steps = [int(path.stem[5:]) for path in (folder / "checkpoints").glob("step-*.json")]
    return max(steps, default=0)


def kept(folder: Path) -> tuple[bytes, ...]:
    """Weights, the last checkpoint's tensors, settings, and the metrics without their seconds."""
    last = sorted((folder / "checkpoints").glob("step-*.safetensors"))[-1]
    told = json.dumps(evaluations(folder / "metrics.jsonl"))
    files = (folder / "weights.safetensors", last, folder / "settings.json", folder / "dev.json")
    return (last.name.encode(), told.encode(), *(file.read_bytes() for file in files))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_killed_again_and_again(world: World, begun: Run, tmp_path: Path, name: str) -> None:
    objective, more = OBJECTIVES[name]
    wanted: RunSettings = replace(runs.continued(begun), objective=objective)
    training = replace(
        wanted.training,
        epochs=40 * more.get("accumulate", 1),
        learning_rate=0.005,
        patience=0,
        evaluate_every=4,
        checkpoint_every=1,
        threads=1,
        **more,
    )
    wanted = replace(wanted, training=training)

    def train(folder: Path) -> Callable[[], object]:
        return lambda: fit(world, folder, wanted, None, start=begun)

    assert ended(forked(train(tmp_path / "whole" / "run"))) is None
    for inside in INSIDE:
        assert ended(forked(dying(train(tmp_path / "killed" / "run"), inside))) == signal.SIGKILL, (
            inside
        )
        assert any(inside in path.name for path in (tmp_path / "killed" / "run").rglob("*.part"))
    moments, folder = random.Random(name), tmp_path / "killed" / "run"
    first = reached(folder)
    for kill in range(KILLS):
        # After so many more steps, and anywhere within the next.
        more_steps, wanted_step = moments.choice((0, 0, 1, 2)), reached(folder)
        child, deadline = forked(train(folder)), time.monotonic() + 120
        while reached(folder) < wanted_step + more_steps:
            assert time.monotonic() < deadline, "it takes no step"
            time.sleep(0.001)
        time.sleep(moments.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert ended(child) == signal.SIGKILL, f"it had ended before kill {kill}"
    assert reached(folder) > first + 5  # it came forward in between
    assert ended(forked(train(tmp_path / "killed" / "run"))) is None
    assert kept(tmp_path / "killed" / "run") == kept(tmp_path / "whole" / "run")
    assert not list((tmp_path / "killed" / "run").rglob("*.part"))
