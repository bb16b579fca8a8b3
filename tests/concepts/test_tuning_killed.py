"""A backbone whose tuning is killed again and again ends as if it had been left alone."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from miacap.concepts import TuneSettings, tune
from miacap.data import read, scenes

from ..kills import contents, kill_after, kill_inside, kill_often, left_alone, newest
from ..records import timeless

INSIDE = (".step-000000002.safetensors", ".step-000000003.json", ".best-")
"""What is half written when the process kills itself."""

APPEARING = (
    "fits/fold-0/checkpoints/step-000000001.json", "fits/fold-1/weights.safetensors",
    "backbone.safetensors", "backbone.json", "concepts/scores/manifest.json",
    "concepts/concepts.json",
)  # fmt: skip
"""It is killed a little after each of these is there, once its first network is done."""


def settings() -> TuneSettings:
    wanted = TuneSettings(size=32, minimum_count=1, hidden=8, batch_size=4, stages=1, folds=2)
    more = {"epochs": 12, "warmup_steps": 1, "device": "cpu", "checkpoint_every": 1, "threads": 1}
    training = replace(wanted.training, evaluate_every=3, patience=0, **more)  # type: ignore[arg-type]
    return replace(wanted, training=training)


def told(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return {**report, "history": [timeless(row) for row in report["history"]]}


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at open files in /proc")
def test_killed_by_sigkill_anywhere(tmp_path: Path) -> None:
    """Three times inside a checkpoint, twenty times anywhere in the networks, then at the end."""
    scenes.draw(tmp_path / "scenes", 14, seed=3, size=32)
    dataset, killed = read(tmp_path / "scenes"), tmp_path / "killed"

    def work(name: str) -> None:
        tune(dataset, tmp_path / name, settings(), backbone="efficientnet-lite0", quiet=True)

    def reached() -> int:
        return sum(newest(fit) for fit in (killed / "fits").glob("*"))

    left_alone(lambda: work("whole"))
    kill_inside(lambda: work("killed"), killed, INSIDE)
    kill_often(lambda: work("killed"), reached, seed="tune")
    assert kill_after(lambda: work("killed"), killed, APPEARING, seed=4) >= 4
    left_alone(lambda: work("killed"))
    both = (contents(folder, ["report.json"]) for folder in (killed, tmp_path / "whole"))
    assert next(both) == next(both)
    assert told(killed) == told(tmp_path / "whole")
