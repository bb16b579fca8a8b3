"""A demo that is killed again and again ends as one that was left alone."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "miacap", "demo", "--pictures", "40", "--epochs", "1", "-q", "-o"]
WAITS = (4.0, 6.0, 8.0, 10.0, 12.0, 9.0, 7.0, 11.0, 13.0)
"""Seconds after which it is killed; the later steps are reached because it goes on."""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_demo_goes_on(tmp_path: Path) -> None:
    whole = subprocess.run([*COMMAND, str(tmp_path / "whole")], capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    killed = 0
    for index, wait in enumerate(WAITS):
        how = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)[index % 3]
        started = subprocess.Popen([*COMMAND, str(tmp_path / "killed")], stderr=subprocess.PIPE)
        time.sleep(wait)
        started.send_signal(how)
        _, said = started.communicate(timeout=120)
        assert b"Traceback" not in said, said
        killed += started.returncode not in (0, 1)
        assert started.returncode != 1, said
    done = subprocess.run([*COMMAND, str(tmp_path / "killed")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert killed >= 4
    for name in ("table.md", "runs/plain/weights.safetensors", "runs/combined/weights.safetensors",
                 "concepts/extractor.safetensors"):  # fmt: skip
        first, second = (
            hashlib.sha256((tmp_path / folder / name).read_bytes()).hexdigest()
            for folder in ("whole", "killed")
        )
        assert first == second, name
    left = [p.name for p in (tmp_path / "killed").rglob("*") if p.name.endswith((".part", ".lock"))]
    assert left == []
