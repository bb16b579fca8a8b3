"""Concepts whose training is killed again and again end as if it had been left alone."""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import runpy, sys, tempfile
from pathlib import Path
import torch
from miacap.concepts import ConceptSettings, train
from miacap.training import TrainingSettings
torch.set_num_threads(1)
made_up = runpy.run_path(sys.argv[1])["made_up"]
settings = ConceptSettings(
    minimum_count=1, hidden=16, dropout=0.1, folds=3, batch_size=8,
    training=TrainingSettings(epochs=6, learning_rate=0.02, warmup_steps=4, checkpoint_every=2),
)
with tempfile.TemporaryDirectory() as folder:
    regions, dataset = made_up(Path(folder) / "regions", 300)
    print("begins", flush=True)
    train(regions, dataset, sys.argv[2], settings, quiet=True)
"""
COMMAND = [sys.executable, "-c", PROGRAM, str(Path(__file__).with_name("conftest.py"))]

APPEARING = (
    "settings.json", "fits/whole/checkpoints", "fits/whole/weights.safetensors",
    "fits/fold-0/checkpoints", "fits/fold-1/metrics.jsonl", "fits/fold-2/weights.safetensors",
    "extractor.safetensors", "scores/manifest.json", "scores/shard-00000.json",
)  # fmt: skip
"""It is killed a little after each of these is there."""
ANYWHERE = 3


def killed(folder: Path, appearing: str, delay: float) -> bool:
    """Start the training, kill it after a delay, and say whether it was killed."""
    with subprocess.Popen([*COMMAND, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + 120
        while process.poll() is None and not (folder / appearing).exists():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
    return process.returncode != 0


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_killed_by_sigkill_anywhere(tmp_path: Path) -> None:
    subprocess.run([*COMMAND, str(tmp_path / "whole")], check=True, stdout=subprocess.DEVNULL)
    delays = random.Random(9)
    moments = [(".", delays.uniform(0, 0.4)) for _ in range(ANYWHERE)]
    moments += [(name, delays.uniform(0, 0.01)) for name in APPEARING]
    kills = sum(killed(tmp_path / "killed", *moment) for moment in moments)
    assert kills >= 8
    subprocess.run([*COMMAND, str(tmp_path / "killed")], check=True, stdout=subprocess.DEVNULL)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert "report.json" in contents(tmp_path / "whole")
