"""How processes come together, what they tell each other, and when they give up."""

import contextlib
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from miacap.errors import RunError, SettingsError
from miacap.parts import WHOLE, Part
from miacap.training.processes import Processes, join

from .launched import together


def test_what_processes_tell_each_other(tmp_path: Path) -> None:
    tensors = {
        "a": torch.arange(6.0).view(2, 3).t(),
        "b": torch.tensor(True),
        "c": torch.zeros(0, 3),
        "d": torch.randn(4).bfloat16(),
        "e": torch.tensor([[1, -(2**60)]]),
    }

    def work(rank: int) -> Any:
        processes = join("cpu")
        mine = tensors if rank == 0 else {}
        got = processes.tensors_from_main(lambda: mine)
        assert list(got) == list(tensors)
        for name, value in tensors.items():
            assert got[name].dtype == value.dtype and torch.equal(got[name], value)
        # Uneven streams, an empty result among them, in the order of the work.
        items = [str(i).encode() if i % 3 else b"" for i in range(8)]
        drawn = list(processes.in_turn(iter(processes.part.of(items))))
        assert drawn == (items if rank == 0 else [])
        summed = [torch.full((2, 2), rank + 1.0), torch.full((3,), rank + 1, dtype=torch.int64)]
        processes.add(summed)
        large = processes.largest([rank, 5 - rank, 0])
        with contextlib.suppress(SystemExit):
            processes.from_main(lambda: (_ for _ in ()).throw(SystemExit(3)))
        value = processes.from_main(lambda: {"x": float("nan"), "y": [1, "ä"]})
        return [[t.tolist() for t in summed], large, str(value), str(processes.device("auto").type)]

    wanted = [
        [[[6.0, 6.0], [6.0, 6.0]], [6, 6, 6]], [2, 5, 0], "{'x': nan, 'y': [1, 'ä']}", "cpu",
    ]  # fmt: skip
    assert together(work, tmp_path, world=3) == [wanted] * 3


def test_one_process_joins_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "accelerate", None)
    alone = join()
    assert (alone.part, alone.several, alone.main) == (WHOLE, False, True)
    assert list(alone.in_turn(iter([b"x"]))) == [b"x"] and alone.gathered(3) == [3]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ImportError, match=r"several processes needs the extra \[distributed\]"):
        join()


def test_one_gpu_for_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miacap.training.processes.choose", torch.device)  # a machine with GPUs
    several = Processes(Part(1, 2), torch.device("cuda:1"))
    assert several.device("auto") == several.device("cuda") == torch.device("cuda:1")
    assert several.device("cpu") == torch.device("cpu")
    with pytest.raises(SettingsError, match="'cuda:0' would be that of all 2 processes"):
        several.device("cuda:0")


def test_fewer_gpus_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RunError, match=r"^2 processes were launched .* has 1 GPU, and each takes"):
        join()


def test_processes_that_do_not_come_together_are_told_how_to_start(tmp_path: Path) -> None:
    def work(rank: int) -> str:
        os.environ["WORLD_SIZE"] = os.environ["LOCAL_WORLD_SIZE"] = "2"
        del os.environ["MASTER_ADDR"]
        with pytest.raises(RunError) as caught:
            join("cpu")
        return str(caught.value)

    (said,) = together(work, tmp_path, world=1)
    assert said.startswith("The 2 processes could not be joined (")
    assert "MASTER_ADDR" in said and "Start them with `accelerate launch` or `torchrun`" in said


def test_a_process_that_hangs_in_a_step_is_not_waited_for_longer_than_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 5.0
    monkeypatch.setattr("miacap.training.processes.PATIENCE", timedelta(seconds=patience))

    def work(rank: int) -> list[Any]:
        processes = join("cpu")
        # What the main process does alone may take longer than a step.
        assert processes.from_main(lambda: time.sleep(patience + 2)) is None
        if rank == 1:  # hangs until the other has ended
            deadline = time.monotonic() + 40
            while not (tmp_path / "0.json").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            return []
        began = time.monotonic()
        with pytest.raises(RunError) as caught:
            processes.add_gradients(nn.Linear(1, 1))
        return [str(caught.value), time.monotonic() - began]

    said, seconds = together(work, tmp_path)[0]
    assert "Another of the 2 processes is gone, or does not answer (" in said
    assert patience - 1 < seconds < 30
