"""Stopped anywhere and started again, a run ends with the same bytes."""

import json
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from miacap.errors import RunError
from miacap.settings import to_json
from miacap.training import TrainingSettings, fit, randomness
from miacap.training.interrupts import Interrupts
from miacap.training.processes import Processes
from miacap.training.session import Session
from miacap.training.state import check_settings

from .endings import SETTINGS, ending


@pytest.mark.parametrize("sitting", [1, 3, 7, 10])
def test_stopped_after_so_many_steps_again_and_again(
    toy: ModuleType, tmp_path: Path, undisturbed: Path, sitting: int
) -> None:
    done = 0
    while True:
        torch.rand(done)  # whatever the process drew before must not matter
        task = toy.Toy()
        result = fit(task, SETTINGS, tmp_path, quiet=True, stop_after=sitting)
        assert result.steps - done <= sitting
        assert task.given <= sitting  # skipped batches were not even read
        done = result.steps
        if result.finished:
            break
        assert result.reason == "stop_after"
    assert ending(tmp_path) == ending(undisturbed)


def test_with_accumulation_and_checkpoints_inside_an_epoch(toy: ModuleType, tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=2, accumulate=3, optimiser="sgd", checkpoint_every=1)
    fit(toy.Toy(), settings, tmp_path / "a", quiet=True)
    for _ in range(6):
        fit(toy.Toy(), settings, tmp_path / "b", quiet=True, stop_after=1)
    assert ending(tmp_path / "a") == ending(tmp_path / "b")


def test_more_epochs_go_on_from_a_finished_run(toy: ModuleType, tmp_path: Path) -> None:
    short, long = (
        TrainingSettings(epochs=n, schedule_epochs=4, checkpoint_every=n) for n in (2, 4)
    )
    fit(toy.Toy(), short, tmp_path / "a", quiet=True)
    grown = fit(toy.Toy(), long, tmp_path / "a", quiet=True)
    fit(toy.Toy(), long, tmp_path / "b", quiet=True)
    assert grown.epochs == 4
    assert ending(tmp_path / "a") == ending(tmp_path / "b")


def test_a_finished_run_does_nothing(toy: ModuleType, tmp_path: Path) -> None:
    first = fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    task = toy.Toy()
    assert fit(task, SETTINGS, tmp_path, quiet=True) == first
    assert task.given == 0
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


class Stop(Exception):
    """Raised where a kill would strike."""


WRITES = [
    "miacap.training.checkpoints.write_tensors",
    "miacap.training.evaluating.write_weights",
    "miacap.training.checkpoints.write_json",
    "miacap.training.checkpoints.prune",
    "miacap.training.checkpoints.publish",
    "miacap.training.logs.settle",
]


@pytest.mark.parametrize("place", WRITES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_killed_around_every_write(
    toy: ModuleType,
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    when: str,
    call: int,
) -> None:
    name, _, attribute = place.rpartition(".")
    module = sys.modules[name]
    inner, calls = getattr(module, attribute), []

    def deadly(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == call and when == "before":
            raise Stop
        value = inner(*args, **kwargs)
        if len(calls) == call:
            raise Stop
        return value

    with monkeypatch.context() as patch:
        patch.setattr(module, attribute, deadly)
        with pytest.raises(Stop):
            fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert ending(tmp_path) == ending(undisturbed)


def test_an_evaluation_that_fails_loses_no_training(
    toy: ModuleType, tmp_path: Path, undisturbed: Path
) -> None:
    task = toy.Toy()

    def evaluate() -> dict[str, float]:
        torch.rand(50)
        raise Stop

    task.evaluate = evaluate
    with pytest.raises(Stop):
        fit(task, SETTINGS, tmp_path, quiet=True)
    task = toy.Toy()
    fit(task, SETTINGS, tmp_path, quiet=True)
    assert task.given == 14
    assert ending(tmp_path) == ending(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_a_checkpoint_after_the_step(
    toy: ModuleType, tmp_path: Path, undisturbed: Path, number: signal.Signals
) -> None:
    task = toy.Toy()
    inner = task.loss

    def loss(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> object:
        if task.given == 10:
            os.kill(os.getpid(), number)
        return inner(module, batch)

    task.loss = loss
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit) as caught:
        fit(task, SETTINGS, tmp_path, quiet=True)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 143  # 128 + SIGTERM, as shells have it
    assert signal.getsignal(number) is before
    assert (tmp_path / "checkpoints" / "step-000000010.json").exists()
    task = toy.Toy()
    fit(task, SETTINGS, tmp_path, quiet=True)
    assert task.given == 11
    assert ending(tmp_path) == ending(undisturbed)


def test_a_signal_while_processes_ask_each_other_is_kept(
    toy: ModuleType, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, inner = toy.Toy(), Processes.largest

    def largest(self: Processes, numbers: list[int]) -> list[int]:
        found = inner(self, numbers)
        if task.given == 10:  # after what was received had been read
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(Processes, "largest", largest)
    with pytest.raises(SystemExit) as caught:
        fit(task, SETTINGS, tmp_path, quiet=True)
    assert caught.value.code == 143
    assert (tmp_path / "checkpoints" / "step-000000011.json").exists()
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert ending(tmp_path) == ending(undisturbed)


def test_the_first_signal_to_a_process_that_knows_of_anothers_is_not_its_second(
    toy: ModuleType, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, inner = toy.Toy(), Session.save

    def largest(self: Processes, numbers: list[int]) -> list[int]:
        return [signal.SIGTERM if task.given == 10 else 0]  # sent to another process

    def save(self: Session) -> None:
        if task.given == 10:
            os.kill(os.getpid(), signal.SIGTERM)  # sent to this one, before anything is written
        inner(self)

    monkeypatch.setattr(Processes, "largest", largest)
    monkeypatch.setattr(Session, "save", save)
    with pytest.raises(SystemExit) as caught:
        fit(task, SETTINGS, tmp_path, quiet=True)
    assert caught.value.code == 143
    assert (tmp_path / "checkpoints" / "step-000000010.json").exists()
    monkeypatch.undo()
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert ending(tmp_path) == ending(undisturbed)


def test_a_signal_during_an_evaluation_acts_at_once(
    toy: ModuleType, tmp_path: Path, undisturbed: Path
) -> None:
    task = toy.Toy()

    def evaluate() -> dict[str, float]:
        torch.rand(2)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the signal came late")

    task.evaluate = evaluate
    with pytest.raises(KeyboardInterrupt):
        fit(task, SETTINGS, tmp_path, quiet=True)
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    assert ending(tmp_path) == ending(undisturbed)


def test_an_epoch_without_an_evaluation_leaves_a_checkpoint_too(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = toy.Toy()
    inner = task.loss

    def loss(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> object:
        if task.given == 9:
            raise Stop
        return inner(module, batch)

    task.loss = loss
    with pytest.raises(Stop):
        fit(task, replace(SETTINGS, evaluate_every=3), tmp_path, quiet=True)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"step-000000007.json", "step-000000007.safetensors", "failure.json"}


def test_how_often_is_evaluated_changes_nothing_of_what_is_trained(
    toy: ModuleType, tmp_path: Path
) -> None:
    """The toy's evaluations draw from the generators, and its training has dropout."""
    kept = []
    for every in (1, 3):
        task = toy.Toy()
        task.watched = None  # the last weights are kept
        settings = replace(SETTINGS, evaluate_every=every)
        kept.append(fit(task, settings, tmp_path / str(every), quiet=True).weights.read_bytes())
    assert kept[0] == kept[1]


def test_a_signal_waits_for_the_step_but_not_twice_and_not_in_a_child() -> None:
    interrupts = Interrupts()
    interrupts.handle(signal.SIGTERM, None)  # the first one waits
    with pytest.raises(SystemExit) as caught:
        interrupts.handle(signal.SIGTERM, None)
    assert caught.value.code == 143
    with pytest.raises(KeyboardInterrupt):
        interrupts.handle(signal.SIGINT, None)
    forked = Interrupts()
    forked._process += 1  # as a child of this process sees it
    with pytest.raises(SystemExit):
        forked.handle(signal.SIGTERM, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.03}, r"begun with learning_rate=0\.02, now learning_rate=0\.03"),
        ({"betas": (0.8, 0.9)}, r"begun with betas"),
        ({"seed": 8}, r"begun with seed=7, now seed=8\. Go on with seed=7, or choose"),
        ({"epochs": 2}, r"epochs=3, now epochs=2; it may only grow"),
        ({"patience": 8}, r"patience=9, now patience=8; it may only grow"),
        ({"momentum": 0.8}, r"begun with momentum=0\.9, now momentum=0\.8"),
    ],
)
def test_changed_settings_are_named(
    toy: ModuleType, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    import dataclasses

    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=2)
    with pytest.raises(RunError, match=message):
        fit(toy.Toy(), dataclasses.replace(SETTINGS, **change), tmp_path, quiet=True)


def test_a_setting_that_one_side_lacks(toy: ModuleType, tmp_path: Path) -> None:
    values = to_json(SETTINGS)
    check_settings(values, SETTINGS, tmp_path)
    with pytest.raises(RunError, match="begun with later=1, now later=None"):
        check_settings({**values, "later": 1}, SETTINGS, tmp_path)
    older = {name: value for name, value in values.items() if name != "momentum"}
    check_settings(older, SETTINGS, tmp_path)  # as its default, which it was trained by
    with pytest.raises(RunError, match=r"begun with momentum=0\.9, now momentum=0\.5"):
        check_settings(older, replace(SETTINGS, momentum=0.5), tmp_path)


def test_settings_that_may_change_in_between(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=2)
    other = replace(SETTINGS, checkpoint_every=1, epochs=4, patience=0)
    assert fit(toy.Toy(), other, tmp_path, quiet=True, stop_after=1).steps == 3


def test_a_changed_task_is_named(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=2)
    with pytest.raises(RunError, match=r"begun with batches per epoch 7, now 8"):
        fit(toy.Toy(batches_per_epoch=8), SETTINGS, tmp_path, quiet=True)
    task = toy.Toy()
    task.watched = None
    with pytest.raises(RunError, match=r"begun with watched 'score', now None"):
        fit(task, SETTINGS, tmp_path, quiet=True)
    task = toy.Toy()
    task.module.second = torch.nn.Linear(16, 2)
    with pytest.raises(RunError, match=r"'second\.bias' has shape \[1\] in the checkpoint and"):
        fit(task, SETTINGS, tmp_path, quiet=True)


def test_all_generators_come_back() -> None:
    random.gauss()  # leaves half a pair behind, which is part of the state
    np.random.normal()
    tensors, values = randomness.capture()
    values = json.loads(json.dumps(values))

    def draw() -> list[object]:
        return [random.gauss(), random.random(), np.random.normal(), torch.rand(3).tolist()]

    first = draw()
    randomness.restore(tensors, values)
    assert draw() == first
