"""The loop against plain torch, the best weights, early stop, and what is told."""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from miacap.errors import MissingExtra, RunError
from miacap.training import TrainingSettings, fit
from miacap.training.task import Task


def scripted(toy: ModuleType, values: list[float]) -> Task:
    """A toy whose evaluations give these scores in turn."""
    task = toy.Toy(batches_per_epoch=2)
    remaining = iter(values)
    task.evaluate = lambda: {"score": next(remaining), "other": 1.0}
    return task  # type: ignore[no-any-return]


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_the_loop_is_the_loop_anybody_would_write(
    toy: ModuleType, tmp_path: Path, optimiser: str
) -> None:
    settings = TrainingSettings(
        epochs=2, optimiser=optimiser, schedule="linear", learning_rate=0.05, clip_norm=1.0,
        weight_decay=0.1, accumulate=2, seed=11, betas=(0.6, 0.8), momentum=0.7,
    )  # fmt: skip
    task = toy.Toy()
    task.watched = None  # the last weights are kept, and so compared
    result = fit(task, settings, tmp_path, quiet=True)

    other = toy.Toy()
    net = other.module
    torch.manual_seed(11)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    extra = {"momentum": 0.7} if optimiser == "sgd" else {"betas": (0.6, 0.8)}
    matrices = [net.first.weight, net.second.weight]
    biases = [net.first.bias, net.second.bias]
    steps = kind[optimiser](
        [{"params": matrices, "weight_decay": 0.1}, {"params": biases, "weight_decay": 0.0}],
        lr=0.05, **extra,
    )  # fmt: skip
    taken = 0
    for epoch in range(2):
        net.train()
        batches = list(other.batches(epoch, 0))
        for start in range(0, 7, 2):  # the last group of an epoch holds one batch
            group = batches[start : start + 2]
            losses = [((net(rows) - targets) ** 2).sum() for rows, targets in group]
            loss = sum(losses) / sum(len(rows) for rows, _ in group)
            steps.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            for part in steps.param_groups:
                part["lr"] = 0.05 * (1 - taken / 8)
            steps.step()
            taken += 1
        net.eval()
        with torch.no_grad():
            score = -float(((net(other.rows) - other.targets) ** 2).mean())
        assert result.history[epoch]["score"] == pytest.approx(score, rel=1e-5)
    assert result.steps == taken == 8
    kept = load_file(result.weights)
    assert result.best_epoch == 2
    for name, value in net.state_dict().items():
        torch.testing.assert_close(kept[name], value, rtol=1e-5, atol=1e-6)


def one_parameter(toy: ModuleType, batches: list[tuple[float, float]], watched: str | None) -> Task:
    """A task whose only parameter begins at 0; a batch gives it a gradient and has a weight."""
    task = toy.Toy(batches_per_epoch=len(batches))
    task.module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(task.module.weight)
    task.batches = lambda epoch, skip: iter(batches[skip:])
    task.loss = lambda module, batch: (module(torch.ones(1)).sum() * batch[0], batch[1])
    task.evaluate = lambda: {"score": 0.0}
    task.watched = watched
    return task  # type: ignore[no-any-return]


SGD = TrainingSettings(
    epochs=1, optimiser="sgd", momentum=0.0, weight_decay=0.0, learning_rate=1.0,
    schedule="constant", clip_norm=0.0,
)  # fmt: skip


def test_gradients_are_summed_and_divided_by_the_whole_weight_of_a_step(
    toy: ModuleType, tmp_path: Path
) -> None:
    batches = [(2.0, 1.0), (4.0, 5.0), (9.0, 3.0)]
    for accumulate, expected in (
        (1, -(2 / 1 + 4 / 5 + 9 / 3)), (2, -(6 / 6 + 9 / 3)), (3, -15 / 9),
    ):  # fmt: skip
        task = one_parameter(toy, batches, None)
        settings = replace(SGD, accumulate=accumulate)
        result = fit(task, settings, tmp_path / str(accumulate), quiet=True)
        assert float(task.module.weight.detach()) == pytest.approx(expected)
        assert result.steps == -(-3 // accumulate)


def test_the_gradient_is_clipped_after_it_is_divided(toy: ModuleType, tmp_path: Path) -> None:
    for gradient, expected in ((3.0, -0.5), (0.3, -0.1)):  # of weight 3: 1.0 and 0.1
        task = one_parameter(toy, [(gradient, 3.0)], None)
        fit(task, replace(SGD, clip_norm=0.5), tmp_path / str(gradient), quiet=True)
        assert float(task.module.weight.detach()) == pytest.approx(expected, rel=1e-5)


def test_every_step_has_the_rate_of_the_schedule(toy: ModuleType, tmp_path: Path) -> None:
    task = one_parameter(toy, [(1.0, 1.0)] * 4, None)
    result = fit(task, replace(SGD, schedule="linear", warmup_steps=2), tmp_path, quiet=True)
    assert float(task.module.weight.detach()) == pytest.approx(-(0.5 + 1 + 1 + 0.5))
    assert result.history[0]["learning_rate"] == 0.5  # of the last step that was taken


def test_the_loss_that_is_told_is_the_mean_since_the_evaluation_before(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = toy.Toy(batches_per_epoch=2)
    sums = iter([(8.0, 1.0), (1.0, 2.0), (5.0, 3.0), (4.0, 6.0)])

    def loss(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> object:
        value, weight = next(sums)
        return module(batch[0]).sum() * 0 + value, weight

    task.loss = loss
    result = fit(task, TrainingSettings(epochs=2), tmp_path, quiet=True)
    assert [line["loss"] for line in result.history] == [9 / 3, 9 / 9]


def test_the_best_weights_are_kept_and_loaded(toy: ModuleType, tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=4)
    task = scripted(toy, [0.1, 0.5, 0.3, 0.5])
    result = fit(task, settings, tmp_path / "whole", quiet=True)
    assert (result.best, result.best_epoch, result.finished, result.reason) == (
        0.5, 2, True, "epochs",
    )  # fmt: skip
    short = toy.Toy(batches_per_epoch=2)
    fit(short, settings, tmp_path / "short", stop_after=4, quiet=True)  # two epochs of two
    for name, value in load_file(result.weights).items():
        assert torch.equal(value, short.module.state_dict()[name])
        assert torch.equal(value, task.module.state_dict()[name])


def test_early_stop_counts_evaluations_without_gain(toy: ModuleType, tmp_path: Path) -> None:
    task = scripted(toy, [0.1, 0.2, 0.2, 0.15, 0.9])
    result = fit(task, TrainingSettings(epochs=9, patience=2), tmp_path, quiet=True)
    assert (result.reason, result.epochs, result.best_epoch) == ("patience", 4, 2)
    # A finished run is not touched again, but a longer patience takes it further.
    again = fit(scripted(toy, []), TrainingSettings(epochs=9, patience=2), tmp_path, quiet=True)
    assert again == result
    more = TrainingSettings(epochs=5, patience=3)
    with pytest.raises(RunError, match=r"begun with epochs=9, now epochs=5; it may only grow"):
        fit(scripted(toy, []), more, tmp_path, quiet=True)
    longer = TrainingSettings(epochs=9, patience=3)
    task = scripted(toy, [0.9, 0.1, 0.1, 0.1])
    assert fit(task, longer, tmp_path, quiet=True).best_epoch == 5


def test_who_watches_is_told_why_a_training_stopped_early(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(values: list[float], folder: str, label: str = "", **more: Any) -> list[str]:
        settings = TrainingSettings(epochs=5, patience=2)
        fit(scripted(toy, values), settings, tmp_path / folder, label=label, **more)
        return [line for line in capsys.readouterr().err.splitlines() if "stopped" in line]

    told = "stopped after epoch 4: 2 evaluations without a gain in score (training.patience=2)"
    early = [0.1, 0.2, 0.2, 0.15]
    assert said(early, "a") == [told]
    assert said([], "a") == []  # finished before
    assert said(early, "b", "second") == [f"second: {told}"]
    assert said(early, "c", quiet=True) == []
    # No epoch is left, with a gain and without: nothing was cut short.
    assert said([0.1, 0.2, 0.3, 0.2, 0.2], "d") == said([0.1, 0.2, 0.3, 0.4, 0.5], "e") == []


def test_patience_starts_over_at_a_gain(toy: ModuleType, tmp_path: Path) -> None:
    values = [0.1, 0.05, 0.2, 0.15, 0.3, 0.1, 0.1, 0.9]
    result = fit(
        scripted(toy, values), TrainingSettings(epochs=9, patience=2), tmp_path, quiet=True
    )
    assert (result.reason, result.epochs, result.best_epoch) == ("patience", 7, 5)


def test_a_patience_of_0_is_endless(toy: ModuleType, tmp_path: Path) -> None:
    values = [0.9] + [0.1] * 6
    endless = TrainingSettings(epochs=7, patience=0)
    result = fit(scripted(toy, values), endless, tmp_path / "a", quiet=True)
    assert (result.reason, result.epochs, result.best_epoch) == ("epochs", 7, 1)
    with pytest.raises(
        RunError,
        match=r"patience=0 \(endless\), now patience=3; it .* grow\. Go on with patience=0,",
    ):
        fit(scripted(toy, []), replace(endless, patience=3), tmp_path / "a", quiet=True)
    # From some patience to an endless one is growing.
    some = replace(endless, patience=2)
    assert fit(scripted(toy, values), some, tmp_path / "b", quiet=True).epochs == 3
    result = fit(scripted(toy, values[3:]), endless, tmp_path / "b", quiet=True)
    assert (result.reason, result.epochs) == ("epochs", 7)


def test_the_generators_follow_the_seed(toy: ModuleType, tmp_path: Path) -> None:
    def drawn(seed: int, folder: str) -> list[float]:
        task, seen = toy.Toy(batches_per_epoch=1), []
        inner = task.loss

        def loss(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> object:
            seen.extend([random.random(), np.random.random(), float(torch.rand(()))])
            return inner(module, batch)

        task.loss = loss
        fit(task, TrainingSettings(epochs=1, seed=seed), tmp_path / folder, quiet=True)
        return seen

    random.seed(1)
    np.random.seed(1)
    first = drawn(5, "a")
    random.seed(2)
    np.random.seed(2)
    assert drawn(5, "b") == first
    assert all(one != other for one, other in zip(drawn(6, "c"), first, strict=True))
    assert drawn(2**53 - 1, "d")  # numpy takes 32 bits of it


def test_negative_scores_have_a_best_too(toy: ModuleType, tmp_path: Path) -> None:
    result = fit(scripted(toy, [-3.0, -2.0, -2.5]), TrainingSettings(epochs=3), tmp_path)
    assert (result.best, result.best_epoch) == (-2.0, 2)


def test_with_nothing_to_watch_the_last_weights_are_the_best(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = scripted(toy, [0.9, 0.1, 0.2])
    task.watched = None  # type: ignore[misc]
    result = fit(task, TrainingSettings(epochs=3), tmp_path, quiet=True)
    assert (result.best, result.best_epoch) == (None, 3)


def test_one_line_per_evaluation(toy: ModuleType, tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=5, evaluate_every=2, schedule="constant")
    result = fit(toy.Toy(), settings, tmp_path, quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [2, 4, 5]
    assert [line["step"] for line in lines] == [14, 28, 35]
    assert lines == list(result.history)
    timed = {"batches per second", "waiting", "seconds left"}
    names = {"epoch", "step", "seconds", "loss", "learning_rate", "score"}
    assert [set(line) for line in lines] == [
        names | timed,
        names | timed,
        names | timed - {"seconds left"},
    ]
    # Mean loss per row over the epochs since the evaluation before.
    assert 0 < lines[2]["loss"] < lines[0]["loss"]


def test_numbers_that_are_not_finite_become_null(toy: ModuleType, tmp_path: Path) -> None:
    task = toy.Toy()
    task.evaluate = lambda: {"score": 1.0, "other": float("nan")}
    fit(task, TrainingSettings(epochs=1), tmp_path, quiet=True)
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["other"] is None


def test_bfloat16_runs_under_autocast_and_keeps_float32(toy: ModuleType, tmp_path: Path) -> None:
    kinds = set()
    task = toy.Toy()
    inner = task.loss

    def loss(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> object:
        kinds.add(module(batch[0]).dtype)
        return inner(module, batch)

    task.loss = loss
    settings = TrainingSettings(epochs=2, precision="bfloat16", learning_rate=0.01)
    result = fit(task, settings, tmp_path, quiet=True)
    assert kinds == {torch.bfloat16}
    assert load_file(result.weights)["first.weight"].dtype == torch.float32
    assert result.history[1]["loss"] < result.history[0]["loss"]


def test_the_caller_keeps_its_generators_and_threads(toy: ModuleType, tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    task = toy.Toy()
    torch.manual_seed(0)
    fit(task, TrainingSettings(epochs=1, threads=2), tmp_path, quiet=True)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 1


def test_a_step_on_padding_alone_is_no_error(toy: ModuleType, tmp_path: Path) -> None:
    task = toy.Toy()
    task.loss = lambda module, batch: (module(batch[0]).sum() * 0, torch.tensor(0))
    result = fit(task, TrainingSettings(epochs=1), tmp_path, quiet=True)
    assert result.history[0]["loss"] == 0.0


def test_progress_goes_to_stderr(
    toy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(toy.Toy(), TrainingSettings(epochs=1), tmp_path, label="fold 2 of 5")
    out, err = capsys.readouterr()
    assert out == ""
    assert "fold 2 of 5: epoch 1/1: 7 batches" in err
    assert "score -" in err and "(best so far)" in err


def test_tensorboard_is_an_extra(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"pip install 'miacap\[watch\]'"):
        fit(toy.Toy(), TrainingSettings(tensorboard=True), tmp_path, quiet=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_gets_every_number(toy: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra [watch] is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = TrainingSettings(epochs=2, tensorboard=True)
    result = fit(toy.Toy(), settings, tmp_path, quiet=True)
    events = EventAccumulator(str(tmp_path / "checkpoints" / "tensorboard"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("score")]
    assert found == [(r["step"], pytest.approx(r["score"])) for r in result.history]


def test_tensorboard_writes_through_no_link(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = ModuleType("torch.utils.tensorboard")
    stand_in.SummaryWriter = mock.Mock()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    (tmp_path / "outside").mkdir()
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    link = tmp_path / "run" / "checkpoints" / "tensorboard"
    link.symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="tensorboard: a link, and nothing is written through one"):
        fit(toy.Toy(), TrainingSettings(tensorboard=True), tmp_path / "run", quiet=True)
    assert not stand_in.SummaryWriter.called and not list((tmp_path / "outside").iterdir())
    link.unlink()
    fit(toy.Toy(), TrainingSettings(tensorboard=True, epochs=1), tmp_path / "new", quiet=True)
    assert (tmp_path / "new" / "checkpoints" / "tensorboard").is_dir()
    assert stand_in.SummaryWriter.called
