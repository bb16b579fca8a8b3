"""Killed by SIGKILL, a training ends with the weights of one that was left alone."""

import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from miacap.training import TrainingSettings, fit

from ..kills import kill_after, kill_inside, kill_often, left_alone, newest
from .endings import SETTINGS, ending

INSIDE = (".step-000000002.safetensors", ".step-000000003.json", ".best-")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at open files in /proc")
def test_killed_by_sigkill_anywhere(toy: ModuleType, tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=80, learning_rate=0.02, checkpoint_every=1, threads=1)

    def work(name: str) -> None:
        fit(toy.Toy(slow=0.002), settings, tmp_path / name, quiet=True)

    left_alone(lambda: work("a"))
    kill_inside(lambda: work("b"), tmp_path / "b", INSIDE)
    kill_often(lambda: work("b"), lambda: newest(tmp_path / "b"), seed="toy", kills=24)
    left_alone(lambda: work("b"))
    assert ending(tmp_path / "b") == ending(tmp_path / "a")


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_killed_once_by_sigkill(toy: ModuleType, tmp_path: Path, undisturbed: Path) -> None:
    settings = replace(SETTINGS, checkpoint_every=1)

    def work() -> None:
        fit(toy.Toy(slow=0.02), settings, tmp_path, quiet=True)

    assert kill_after(work, tmp_path, ["checkpoints/step-000000009.json"], seed=0) == 1
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert ending(tmp_path) == ending(undisturbed)
