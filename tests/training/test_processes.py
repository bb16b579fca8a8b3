"""Processes that train together take the steps of one, stop together, and one of them writes."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miacap.errors import RunError
from miacap.locks import lock
from miacap.parts import WHOLE, Part
from miacap.training import TrainingSettings, fit
from miacap.weights import read_tensors

from .launched import start, together, wait

SETTINGS = TrainingSettings(
    epochs=3, warmup_steps=4, learning_rate=0.02, seed=7, patience=9, average="exponential"
)
SGD = TrainingSettings(
    epochs=1, optimiser="sgd", momentum=0.0, learning_rate=1.0, weight_decay=0.0,
    schedule="constant", clip_norm=0.0,
)  # fmt: skip


class Uneven:
    """Batches of 5, 2, 1 and 4 rows; each row has a word count, and may use a part of its own."""

    watched: str | None = None
    batches_per_epoch = 4

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.module: nn.Module = nn.ModuleDict({"all": nn.Linear(3, 2), "first": nn.Linear(3, 2)})
        self.module["none"] = nn.Linear(1, 1)
        self.rows, self.weights = torch.randn(12, 3), torch.arange(1.0, 13.0)
        self.grouped = [list(range(5)), [5, 6], [7], [8, 9, 10, 11]]

    def batches(self, epoch: int, skip: int, part: Part = WHOLE) -> Iterator[Any]:
        for group in self.grouped[skip:]:
            share = list(part.of(group))
            yield (self.rows[share], self.weights[share], share[0] in (0, 5)) if share else None

    def loss(self, module: Any, batch: Any) -> tuple[Tensor, Tensor]:
        rows, weights, special = batch
        value = module["all"](rows).square().sum(1)
        if special:  # the first row is the main process's: the others lack this gradient
            value = value + torch.cat([module["first"](rows[:1]).sum(1), value[1:] * 0])
        return (value * weights).sum(), weights.sum()

    def evaluate(self) -> dict[str, float]:
        return {}


def without_chance(toy: ModuleType) -> Any:
    task = toy.Toy()
    task.module.drop.p = 0.0
    return task


def numbers(module: nn.Module) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in module.state_dict().items()}


def closeness(found: dict[str, list[float]], wanted: dict[str, list[float]]) -> float:
    """Largest difference of any parameter, relative to the largest number of that parameter."""
    differences = [0.0]
    for name, row in wanted.items():
        here, there = torch.tensor(found[name]).double(), torch.tensor(row).double()
        if float(there.abs().max()):
            differences.append(float((here - there).abs().max() / there.abs().max()))
    return max(differences)


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (3, 3)])
def test_gradients_are_those_of_one_process_on_the_joined_batch(
    tmp_path: Path, world: int, accumulate: int
) -> None:
    chosen = replace(SGD, accumulate=accumulate)

    def gradients(folder: Path) -> list[dict[str, list[float]]]:
        # At a rate of 1 a step subtracts the gradient from the weights.
        task, found = Uneven(), []
        for steps in range(1, 4 // accumulate + 1):
            before = {name: value.clone() for name, value in task.module.state_dict().items()}
            fit(task, chosen, folder, quiet=True, stop_after=1)
            after = task.module.state_dict()
            found.append({n: (before[n] - after[n]).flatten().tolist() for n in before})
            assert len(found) == steps
        return found

    several = together(lambda rank: gradients(tmp_path / "several"), tmp_path / "logs", world)
    assert all(one == several[0] for one in several)
    alone = gradients(tmp_path / "alone")
    assert any(any(row) for row in alone[0].values())
    for step, wanted in zip(several[0], alone, strict=True):
        assert closeness(step, wanted) < 1e-5
        assert not any(step["none.weight"])


def test_training_equals_one_process_and_is_alike_in_all(toy: ModuleType, tmp_path: Path) -> None:
    chosen = replace(SETTINGS, clip_norm=0.5, accumulate=2)

    def work(rank: int) -> Any:
        task = without_chance(toy)
        result = fit(task, chosen, tmp_path / "several", quiet=True)
        return [numbers(task.module), result.best_epoch, [dict(row) for row in result.history]]

    several = together(work, tmp_path / "logs")
    assert several[0] == several[1]
    task = without_chance(toy)
    alone = fit(task, chosen, tmp_path / "alone", quiet=True)
    weights, best, history = several[0]
    wanted = numbers(task.module)
    assert closeness({**weights, "calls": wanted["calls"]}, wanted) < 1e-5
    assert best == alone.best_epoch
    for row, line in zip(history, alone.history, strict=True):
        assert row["loss"] == pytest.approx(line["loss"], rel=1e-5)
        assert row["score"] == pytest.approx(line["score"], rel=1e-5)


def ending(folder: Path) -> tuple[Any, ...]:
    last = sorted((folder / "checkpoints").glob("step-*.safetensors"))[-1]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        for name in ("seconds", "waiting", "seconds left", "batches per second"):
            line.pop(name, None)
    # Torch's generators are in the tensors; type checks of these tests draw from Python's.
    state = json.loads(last.with_suffix(".json").read_text())["state"]
    numpys = [one["numpy"] for one in (state["random"], *state["others"])]
    return (folder / "weights.safetensors").read_bytes(), last.read_bytes(), lines, numpys


@pytest.fixture(scope="module")
def undisturbed(toy: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes, with dropout."""
    folder = tmp_path_factory.mktemp("undisturbed")
    together(lambda rank: fit(toy.Toy(), SETTINGS, folder, quiet=True).steps, folder / "logs")
    return folder


def test_each_process_has_random_numbers_of_its_own(undisturbed: Path) -> None:
    tensors = read_tensors(sorted((undisturbed / "checkpoints").glob("step-*.safetensors"))[-1])
    assert not torch.equal(tensors["random/cpu"], tensors["random-1/cpu"])
    first, second = ending(undisturbed)[-1]
    assert first != second


def test_resume_is_exact(toy: ModuleType, tmp_path: Path, undisturbed: Path) -> None:
    def work(rank: int) -> int:
        sittings = 0
        while True:
            torch.rand(rank + sittings)  # whatever was drawn before must not matter
            sittings += 1
            if fit(toy.Toy(), SETTINGS, tmp_path / "run", quiet=True, stop_after=5).finished:
                return sittings

    assert together(work, tmp_path / "logs") == [5, 5]
    assert ending(tmp_path / "run") == ending(undisturbed)


def test_another_number_of_processes_is_refused(
    toy: ModuleType, tmp_path: Path, undisturbed: Path
) -> None:
    run = tmp_path / "run"
    together(lambda rank: fit(toy.Toy(), SETTINGS, run, quiet=True, stop_after=9).steps, tmp_path)
    with pytest.raises(RunError, match=r"begun with 2 processes, now 1: .*--num_processes 2"):
        fit(toy.Toy(), SETTINGS, run, quiet=True)
    # A finished one draws nothing more.
    assert fit(toy.Toy(), SETTINGS, undisturbed, quiet=True).finished

    alone = tmp_path / "alone"
    fit(toy.Toy(), SETTINGS, alone, quiet=True, stop_after=9)
    before = {path: path.read_bytes() for path in alone.rglob("*") if path.is_file()}

    def refused(rank: int) -> str:
        with pytest.raises(RunError) as caught:
            fit(toy.Toy(), SETTINGS, alone, quiet=True)
        return str(caught.value)

    for said in together(refused, tmp_path / "logs"):
        assert "begun with one process, now 2" in said
    assert {path: path.read_bytes() for path in alone.rglob("*") if path.is_file()} == before


def test_only_the_main_process_touches_the_folder_and_speaks(
    toy: ModuleType, tmp_path: Path
) -> None:
    def work(rank: int) -> Any:
        task = toy.Toy()
        folder = tmp_path / f"of-{rank}"
        result = fit(task, SETTINGS, folder)
        return [numbers(task.module), [dict(row) for row in result.history], result.best]

    first, second = together(work, tmp_path / "logs")
    assert first == second
    assert (tmp_path / "of-0" / "weights.safetensors").exists()
    assert not (tmp_path / "of-1").exists()
    assert "epoch 3/3" in (tmp_path / "logs" / "0.log").read_text()
    assert (tmp_path / "logs" / "1.log").read_text() == ""


def stopping(toy: ModuleType, folder: Path, victim: int, act: Callable[[], None]) -> Any:
    """Let one of two processes do something to itself in its tenth step."""

    def work(rank: int) -> Any:
        task = toy.Toy()
        inner = task.loss

        def loss(module: nn.Module, batch: Any) -> Any:
            if task.given == 10 and rank == victim:
                act()
            return inner(module, batch)

        task.loss = loss
        try:
            return fit(task, SETTINGS, folder, quiet=True).steps
        except RunError as error:
            return str(error)

    return work


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_the_others_with_a_sentence(
    toy: ModuleType, tmp_path: Path, undisturbed: Path, victim: int
) -> None:
    run, logs = tmp_path / "run", tmp_path / "logs"

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    began = time.monotonic()
    codes = wait(start(stopping(toy, run, victim, die), logs), logs)
    assert codes[victim] == -signal.SIGKILL
    assert time.monotonic() - began < 50
    said = json.loads((logs / f"{1 - victim}.json").read_text())
    assert said.startswith("Another of the 2 processes is gone, or does not answer (")
    assert "Start the same command again" in said
    together(lambda rank: fit(toy.Toy(), SETTINGS, run, quiet=True).steps, logs)
    assert ending(run) == ending(undisturbed)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])
def test_a_signal_to_one_stops_all_after_the_same_step(
    toy: ModuleType,
    tmp_path: Path,
    undisturbed: Path,
    victim: int,
    number: signal.Signals,
    code: int,
) -> None:
    run, logs = tmp_path / "run", tmp_path / "logs"
    work = stopping(toy, run, victim, lambda: os.kill(os.getpid(), number))
    assert wait(start(work, logs), logs) == [code, code]
    assert (run / "checkpoints" / "step-000000010.json").exists()
    if number == signal.SIGINT:
        assert all("KeyboardInterrupt" in (logs / f"{rank}.log").read_text() for rank in (0, 1))
    if victim:
        together(lambda rank: fit(toy.Toy(), SETTINGS, run, quiet=True).steps, logs)
        assert ending(run) == ending(undisturbed)


def test_an_evaluation_that_fails_ends_all_and_keeps_the_epoch(
    toy: ModuleType, tmp_path: Path, undisturbed: Path
) -> None:
    def work(rank: int) -> str:
        task = toy.Toy()
        evaluated = []

        def evaluate() -> dict[str, float]:
            evaluated.append(rank)
            raise RunError("the scorer broke")

        task.evaluate = evaluate
        with pytest.raises(RunError) as caught:
            fit(task, SETTINGS, tmp_path / "run", quiet=True)
        assert len(evaluated) == (rank == 0)
        return str(caught.value)

    said = together(work, tmp_path / "logs")
    assert said[0] == "the scorer broke"
    assert said[1] == "Ended with the main process, which says: the scorer broke"

    def on(rank: int) -> int:
        task = toy.Toy()
        fit(task, SETTINGS, tmp_path / "run", quiet=True)
        return int(task.given)

    assert together(on, tmp_path / "logs") == [14, 14]
    assert ending(tmp_path / "run") == ending(undisturbed)


def test_what_the_main_process_refuses_all_refuse(toy: ModuleType, tmp_path: Path) -> None:
    def work(rank: int) -> str:
        with pytest.raises(RunError) as caught:
            fit(toy.Toy(), SETTINGS, tmp_path / "run", quiet=True)
        return str(caught.value)

    with lock(tmp_path / "run" / "checkpoints" / ".lock"):
        said = together(work, tmp_path / "logs")
    assert all("is at work in this folder" in one for one in said)


def test_processes_with_other_data_are_refused(toy: ModuleType, tmp_path: Path) -> None:
    def work(rank: int) -> str:
        try:
            fit(toy.Toy(batches_per_epoch=7 + rank), SETTINGS, tmp_path / "run", quiet=True)
        except RunError as error:
            return str(error)
        return "trained"

    first, second = together(work, tmp_path / "logs")
    assert "process 1 was given other data or settings than the main one" in second
    assert "Another of the 2 processes" in first
