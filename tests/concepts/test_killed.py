"""Concepts whose training is killed again and again end as if it had been left alone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from miacap.concepts import ConceptSettings, train
from miacap.training import TrainingSettings

from ..kills import contents, kill_after, kill_inside, left_alone
from .conftest import made_up

SETTINGS = ConceptSettings(
    minimum_count=1, hidden=16, dropout=0.1, folds=3, batch_size=8,
    training=TrainingSettings(epochs=6, learning_rate=0.02, warmup_steps=4, checkpoint_every=2),
)  # fmt: skip

APPEARING = (
    ".", "settings.json", "fits/whole/checkpoints", "fits/whole/weights.safetensors",
    "fits/fold-0/checkpoints", "fits/fold-1/metrics.jsonl", "fits/fold-2/weights.safetensors",
    "extractor.safetensors", "scores/manifest.json", "scores/shard-00000.json",
)  # fmt: skip
"""It is killed a little after each of these is there."""

INSIDE = (".step-000000002.safetensors", ".step-000000004.json", ".best-")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at open files in /proc")
def test_killed_by_sigkill_anywhere(tmp_path: Path) -> None:
    regions, dataset = made_up(tmp_path / "regions", 300)
    settings = replace(SETTINGS, training=replace(SETTINGS.training, threads=1))

    def work(name: str) -> None:
        train(regions, dataset, tmp_path / name, settings, quiet=True)

    left_alone(lambda: work("whole"))
    kill_inside(lambda: work("killed"), tmp_path / "killed", INSIDE)
    kills = kill_after(lambda: work("killed"), tmp_path / "killed", APPEARING, seed=9, within=0.01)
    assert kills >= 8
    left_alone(lambda: work("killed"))
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert "report.json" in contents(tmp_path / "whole")
