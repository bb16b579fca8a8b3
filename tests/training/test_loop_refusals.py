"""What the loop refuses: numbers that break down, tasks and devices that cannot be used."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from miacap.errors import RunError, SettingsError
from miacap.training import TrainingSettings, fit
from miacap.training.failures import Diverged


def test_a_loss_that_breaks_down_is_named_and_spoils_nothing(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = toy.Toy()
    inner = task.loss
    task.loss = lambda m, b: (inner(m, b)[0] * (float("nan") if task.given > 9 else 1), 4.0)
    with pytest.raises(
        RunError, match=r"the loss is nan after step 10 \(epoch 2\)\. Train anew"
    ) as found:
        fit(task, TrainingSettings(epochs=3), tmp_path, quiet=True)
    said = str(found.value)
    assert "a learning_rate below 0.001 (--set training.learning_rate=...), more warmup" in said
    assert "float32" not in said
    healthy = fit(toy.Toy(), TrainingSettings(epochs=3), tmp_path, quiet=True)
    assert healthy.weights.read_bytes() == (
        fit(toy.Toy(), TrainingSettings(epochs=3), tmp_path / "b", quiet=True).weights.read_bytes()
    )


def test_gradients_that_break_down_never_reach_a_checkpoint(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = toy.Toy(batches_per_epoch=1)
    task.loss = lambda m, b: ((m(b[0]) * 0).abs().sqrt().sum(), 1.0)  # 0, with gradient 0/0
    with pytest.raises(
        RunError, match=r"the parameter '.*' is not finite after step 1 \(epoch 1\)"
    ):
        fit(task, TrainingSettings(epochs=1), tmp_path, quiet=True)
    assert not list((tmp_path / "checkpoints").glob("step-*"))


def test_where_words_are_drawn_from_numbers_that_broke_down_these_are_the_reason(
    toy: ModuleType, tmp_path: Path
) -> None:
    """As self-critical training and scheduled sampling draw them: no loss is ever reached."""
    task = toy.Toy(batches_per_epoch=5)

    def loss(module: Any, batch: Any) -> Any:
        out = module(batch[0])
        torch.multinomial(out.softmax(0), 1)
        return ((out * (0 if task.given == 3 else 1)).abs().sqrt().sum(), 1.0)  # gradient 0/0

    task.loss = loss
    settings = TrainingSettings(epochs=1, precision="bfloat16")
    with pytest.raises(Diverged, match=r"the parameter '.*' is not finite after step 3") as found:
        fit(task, settings, tmp_path, quiet=True)
    assert "or in float32 (precision=float32); here the checkpoint" in str(found.value)
    healthy = toy.Toy()
    healthy.loss = lambda *_: torch.multinomial(torch.tensor([float("nan")]), 1)
    with pytest.raises(RuntimeError, match="probability tensor"):  # no fault of the parameters
        fit(healthy, settings, tmp_path / "other", quiet=True)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"scores": 1.0}, r"watches 'score', which .* Did you mean 'scores'\?"),
        ({}, r"It gives: nothing\."),
        ({"score": float("nan")}, r"gave score = nan, .*: watch another .* lower learning_rate"),
        ({"score": 1.0, "loss": 2.0}, r"a number named 'loss'"),
    ],
)
def test_evaluations_that_cannot_be_used(
    toy: ModuleType, tmp_path: Path, numbers: dict[str, float], message: str
) -> None:
    task = toy.Toy()
    task.evaluate = lambda: numbers
    with pytest.raises(RunError, match=message):
        fit(task, TrainingSettings(epochs=1), tmp_path, quiet=True)


@pytest.mark.parametrize(("given", "said"), [(5, "7"), (7, "6")])
def test_a_task_is_held_to_its_length(
    toy: ModuleType, tmp_path: Path, given: int, said: str
) -> None:
    task = toy.Toy(batches_per_epoch=given)
    task.batches_per_epoch = int(said)
    with pytest.raises(RunError, match=rf"promised {said} batches per epoch and gave"):
        fit(task, TrainingSettings(epochs=1), tmp_path, quiet=True)


@pytest.mark.parametrize("index", [2, 7])
def test_one_process_is_given_whole_batches(toy: ModuleType, tmp_path: Path, index: int) -> None:
    """None stands for a part without a row; behind the last batch it is one too many."""
    task = toy.Toy()
    inner = task.batches

    def batches(epoch: int, skip: int) -> Any:
        given = list(inner(epoch, skip))
        return iter([*given[:index], None, *given[index + 1 :]])

    task.batches = batches
    said = "gave None in place of a batch in epoch 1" if index < 7 else "gave more than 7 in epoch"
    with pytest.raises(RunError, match=said):
        fit(task, TrainingSettings(epochs=1), tmp_path, quiet=True)


def test_a_task_without_batches_or_parameters(toy: ModuleType, tmp_path: Path) -> None:
    task = toy.Toy()
    task.batches_per_epoch = 0
    with pytest.raises(RunError, match="no batch to train on"):
        fit(task, TrainingSettings(epochs=2), tmp_path)
    task = toy.Toy()
    task.module.requires_grad_(False)
    with pytest.raises(RunError, match="no parameter that asks for a gradient"):
        fit(task, TrainingSettings(epochs=2), tmp_path)


def test_a_device_that_is_not_there(toy: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no device named 'gpu'"):
        fit(toy.Toy(), TrainingSettings(device="gpu"), tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, r"seed lies in \[0, 2\^53\), not -1"),
        ({"seed": 2**64}, r"seed lies in"),
        ({"threads": 10**6}, "threads is at most 1,024"),
        ({"clip_norm": float("nan")}, "clip_norm is at least 0, not nan"),
        ({"learning_rate": float("inf")}, "learning_rate is above 0, not inf"),
    ],
)
def test_numbers_that_torch_would_choke_on(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TrainingSettings(**change)


@pytest.mark.parametrize("device", ["meta", "nowhere", "cuda:99", ""])
def test_a_device_that_computes_nothing_is_refused(
    toy: ModuleType, tmp_path: Path, device: str
) -> None:
    with pytest.raises(SettingsError, match=rf"device (named )?'{device}'.*; choose auto"):
        fit(toy.Toy(), TrainingSettings(device=device), tmp_path, quiet=True)
