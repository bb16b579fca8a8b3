"""A training with ATT-FCN's regularisers: whole, resumed, and told from one without."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from miacap import captioning, runs
from miacap.errors import RunError
from miacap.runs import CrossEntropy, RunSettings

from .conftest import MadeUp, settings


def of_weight(weight: float) -> RunSettings:
    return replace(settings("att-fcn", "combined"), objective=CrossEntropy(regulariser=weight))


def trained(world: MadeUp, folder: Path, weight: float, *stops: int) -> dict[str, Tensor]:
    for stop in (*stops, None):
        captioning.train(
            world.dataset, world.regions, folder, of_weight(weight),
            concepts=world.concepts, stop_after=stop, quiet=True,
        )  # fmt: skip
    return load_file(folder / "weights.safetensors")


def test_it_trains_and_resumes_to_the_bit(made_up: MadeUp, tmp_path: Path) -> None:
    whole = trained(made_up, tmp_path / "whole", 0.5)
    stopped = trained(made_up, tmp_path / "stopped", 0.5, 1)
    without = trained(made_up, tmp_path / "without", 0.0)
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert not torch.equal(whole["input_key.weight"], without["input_key.weight"])
    assert runs.load(tmp_path / "whole").settings.objective.regulariser == 0.5
    with pytest.raises(RunError, match=r"a run with objective\.regulariser = 0\.5, not 0\.0"):
        trained(made_up, tmp_path / "whole", 0.0)
