"""Killed twenty times at seeded moments, thrice inside a checkpoint, a training ends the same."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from miacap import runs
from miacap.runs import CrossEntropy, Run, RunSettings, SelfCritical

from ..kills import kill_inside, kill_often, last_tensors, left_alone, newest
from ..records import evaluations
from .small import World, fit, make, settings

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


def kept(folder: Path) -> tuple[bytes, ...]:
    """Weights, the last checkpoint's tensors, settings, and the metrics without their seconds."""
    last = last_tensors(folder)
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

    left_alone(train(tmp_path / "whole" / "run"))
    folder = tmp_path / "killed" / "run"
    kill_inside(train(folder), folder, INSIDE)
    kill_often(train(folder), lambda: newest(folder), seed=name)
    left_alone(train(folder))
    assert kept(folder) == kept(tmp_path / "whole" / "run")
    assert not list(folder.rglob("*.part"))
