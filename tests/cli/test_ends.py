"""How a command ends that is interrupted, or whose output goes nowhere."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "miacap"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and devices of POSIX")


def test_ctrl_c_is_a_sentence_and_130() -> None:
    command = [*COMMAND, "tokenize", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stderr is not None
        time.sleep(4)  # long enough to be past the start, waiting for input
        process.send_signal(signal.SIGINT)
        text = process.stderr.read().decode()
        process.stdin.close()
    assert process.returncode == 130
    assert text == "miacap: interrupted; the same command goes on from here.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_a_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b"miacap: standard output: No space left on device.\n"


def test_too_little_memory_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from miacap.cli import application

    monkeypatch.setattr(application, "app", lambda: torch.empty(10**14))
    with pytest.raises(SystemExit) as end:
        application.main()
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("miacap: not enough memory (")
    monkeypatch.setattr(application, "app", lambda: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):  # a fault of ours is not hidden
        application.main()
