"""A backbone whose tuning is killed again and again ends as if it had been left alone."""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from miacap.data import scenes

PROGRAM = """
import sys
from dataclasses import replace
import torch
from miacap.concepts import TuneSettings, tune
from miacap.data import read
torch.set_num_threads(1)
settings = TuneSettings(size=32, minimum_count=1, hidden=8, batch_size=4, stages=2, folds=2)
more = dict(epochs=3, warmup_steps=1, device="cpu", checkpoint_every=1)
settings = replace(settings, training=replace(settings.training, **more))
dataset = read(sys.argv[1])
print("begins", flush=True)
tune(dataset, sys.argv[2], settings, backbone="efficientnet-lite0", quiet=True)
"""

APPEARING = (
    "settings.json", "photos.json", "fits/statistics.safetensors", "fits/whole/checkpoints",
    "fits/whole/checkpoints/step-000000002.safetensors", "fits/whole/weights.safetensors",
    "fits/fold-0/checkpoints/step-000000001.json", "fits/fold-1/weights.safetensors",
    "backbone.safetensors", "backbone.json", "concepts/scores/manifest.json",
    "concepts/concepts.json",
)  # fmt: skip
"""It is killed a little after each of these is there."""


def killed(scenes_folder: Path, folder: Path, appearing: str, delay: float) -> bool:
    """Start tuning, kill it after a delay, and say whether it was killed."""
    command = [sys.executable, "-c", PROGRAM, str(scenes_folder), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + 300
        while process.poll() is None and not (folder / appearing).exists():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
    return process.returncode != 0


def contents(folder: Path) -> dict[str, str]:
    """Checksums of all files; the report has times."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "report.json")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_killed_by_sigkill_anywhere(tmp_path: Path) -> None:
    scenes.draw(tmp_path / "scenes", 14, seed=3, size=32)
    delays = random.Random(4)
    kills = sum(
        killed(tmp_path / "scenes", tmp_path / "killed", name, delays.uniform(0, 0.05))
        for name in APPEARING
    )
    assert kills >= 9
    for name in ("killed", "whole"):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "scenes"), str(tmp_path / name)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert (tmp_path / "killed" / "report.json").is_file()
