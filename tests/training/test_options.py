"""Options of the papers: clipping, RMSProp, averages, what is watched; each resumed to the bit."""

import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from miacap.errors import RunError, SettingsError
from miacap.training import TrainingSettings, fit
from miacap.training.averages import Averages
from miacap.training.loop import step
from miacap.training.session import Session

from .test_resume import Stop, ending

SETTINGS = TrainingSettings(epochs=3, learning_rate=0.02, seed=7, weight_decay=0.0)

OPTIONS: dict[str, dict[str, Any]] = {
    "value": {"clip_value": 0.05, "clip_norm": 0.0},
    "both": {"clip_value": 0.05, "clip_norm": 0.1},
    "rmsprop": {"optimiser": "rmsprop", "rms_decay": 0.9, "weight_decay": 0.01},
    "exponential": {"schedule": "exponential", "step_epochs": 1, "constant_epochs": 1},
    "inverse-root": {"schedule": "inverse-root", "warmup_steps": 3},
    "average of steps": {"average": "exponential", "average_decay": 0.9},
    "average of epochs": {"average": "epochs", "average_epochs": 2, "checkpoint_every": 1},
    "watch": {"watch": "-loss of rows", "patience": 1},
}


class Steps:
    """A task's session, stepped by hand; weights after each step."""

    def __init__(self, toy: ModuleType, folder: Path, settings: TrainingSettings) -> None:
        task = toy.Toy()
        task.module.drop.p = 0.0
        self.session = Session(task, settings, folder, True, "")
        self.weights: list[torch.Tensor] = [self.now()]
        self.gradients: list[torch.Tensor] = []

    def now(self) -> torch.Tensor:
        parameters = self.session.module.parameters()
        return torch.cat([p.detach().flatten() for p in parameters]).clone()

    def take(self, number: int) -> None:
        session = self.session
        for batch in [*session.task.batches(0, 0)][:number]:
            before = self.now()
            loss, weight = session.task.loss(session.module, batch)
            grads = torch.autograd.grad(loss / weight, list(session.module.parameters()))
            self.gradients.append(torch.cat([g.flatten() for g in grads]))
            assert torch.equal(before, self.now())
            step(session, [batch])
            self.weights.append(self.now())


def plain(toy: ModuleType, folder: Path, number: int = 4, **changes: Any) -> Steps:
    torch.manual_seed(0)
    found = Steps(toy, folder, replace(SETTINGS, schedule="constant", **changes))
    found.take(number)
    return found


def test_numbers_are_clipped_before_the_length(toy: ModuleType, tmp_path: Path) -> None:
    made = {"optimiser": "sgd", "momentum": 0.0, "clip_value": 0.05}
    for norm in (0.0, 0.1):
        found = plain(toy, tmp_path, clip_norm=norm, **made)
        for index, gradient in enumerate(found.gradients):
            clipped = gradient.clamp(-0.05, 0.05)
            if norm:
                clipped = clipped * min(1.0, norm / float(clipped.norm()))
            assert float(gradient.abs().max()) > 0.05
            moved = found.weights[index] - found.weights[index + 1]
            assert torch.allclose(moved, 0.02 * clipped, atol=1e-6)


def test_rmsprop_in_plain_loops(toy: ModuleType, tmp_path: Path) -> None:
    found = plain(toy, tmp_path, optimiser="rmsprop", rms_decay=0.9, clip_norm=0.0)
    squares = torch.zeros_like(found.weights[0])
    for index, gradient in enumerate(found.gradients):
        squares = 0.9 * squares + 0.1 * gradient**2
        wanted = found.weights[index] - 0.02 * gradient / (squares.sqrt() + 1e-8)
        assert torch.allclose(found.weights[index + 1], wanted, atol=1e-6)


def test_an_average_of_steps_in_plain_loops(toy: ModuleType, tmp_path: Path) -> None:
    """[train:average]"""
    found = plain(toy, tmp_path, number=6, average="exponential", average_decay=0.4)
    average = found.weights[1]
    for number, weights in enumerate(found.weights[2:], start=2):
        decay = min(0.4, (1 + number) / (10 + number))
        average = decay * average + (1 - decay) * weights
    session = found.session
    averaged = session.averages.weights()
    order = [name for name, _ in session.module.named_parameters()]
    got = torch.cat([averaged[name].flatten() for name in order])
    assert torch.allclose(got, average, atol=1e-6) and not torch.allclose(got, found.now())
    assert averaged["calls"] == session.module.calls == 12  # counts are not averaged


def test_an_average_of_epochs_is_what_is_scored_and_kept(toy: ModuleType, tmp_path: Path) -> None:
    settings = replace(SETTINGS, average="epochs", average_epochs=2, watch="", epochs=3)
    ends, scored = [], []
    task = toy.Toy()
    task.watched = None  # the last weights are kept
    inner = task.evaluate

    def evaluate() -> object:
        scored.append({k: v.clone() for k, v in task.module.state_dict().items()})
        return inner()

    task.evaluate = evaluate
    for epoch in range(3):
        fit(task, settings, tmp_path, quiet=True, stop_after=7)
        newest = sorted((tmp_path / "checkpoints").glob("step-*.safetensors"))[-1]
        state = load_file(newest)
        ends.append({k.removeprefix("module/"): v for k, v in state.items() if k[:7] == "module/"})
        assert len({k.split("/")[1] for k in state if k[:8] == "average/"}) == min(epoch + 1, 2)
    fit(task, settings, tmp_path, quiet=True)
    kept = load_file(tmp_path / "weights.safetensors")
    for name, value in kept.items():
        mean = (ends[1][name] + ends[2][name]) / 2 if value.is_floating_point() else ends[2][name]
        assert torch.equal(value, mean), name
        assert torch.equal(scored[-1][name], mean)
        assert torch.equal(scored[0][name], ends[0][name])
    assert not torch.equal(kept["first.weight"], ends[2]["first.weight"])


@pytest.mark.parametrize("average", ["exponential", "epochs"])
def test_an_average_leaves_what_is_fixed_as_it_is_to_the_bit(average: Any) -> None:
    """Statistics and stages of a tuned network: (x + x + x) / 3 is not always x."""
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(300), torch.nn.Linear(300, 1)).eval()
    assert isinstance(module[0].running_mean, torch.Tensor)
    module[0].running_mean.copy_(torch.rand(300, generator=torch.Generator().manual_seed(0)))
    fixed = module[0].running_mean.clone()
    averages = Averages(module, replace(SETTINGS, average=average, average_epochs=5))
    for taken in range(1, 6):
        with torch.no_grad():
            module[1].weight += 0.1
        averages.update(taken, epoch_ended=True)
    assert torch.equal(averages.weights()["0.running_mean"], fixed)
    assert not torch.equal(averages.weights()["1.weight"], module[1].weight)


@pytest.mark.parametrize("option", OPTIONS)
def test_stopped_again_and_again(toy: ModuleType, tmp_path: Path, option: str) -> None:
    settings = replace(SETTINGS, **OPTIONS[option])

    def task() -> Any:
        made = toy.Toy()
        inner = made.evaluate
        made.evaluate = lambda: {**(found := inner()), "loss of rows": -found["score"]}
        return made

    whole = fit(task(), settings, tmp_path / "whole", quiet=True)
    while not fit(task(), settings, tmp_path / "pieces", quiet=True, stop_after=4).finished:
        torch.rand(3)
    assert ending(tmp_path / "whole") == ending(tmp_path / "pieces")
    plain = fit(task(), SETTINGS, tmp_path / "plain", quiet=True)
    moved = ending(tmp_path / "plain")[0] != ending(tmp_path / "whole")[0]
    assert moved or option == "watch"
    assert whole.steps <= plain.steps


@pytest.mark.parametrize("kind", ["exponential", "epochs"])
def test_an_evaluation_that_fails_keeps_the_weights_and_not_their_average(
    toy: ModuleType, tmp_path: Path, kind: Any
) -> None:
    settings = replace(SETTINGS, average=kind, epochs=4)
    task = toy.Toy()
    inner, calls = task.evaluate, []

    def evaluate() -> object:
        calls.append(1)
        if len(calls) == 3:
            raise Stop
        return inner()

    task.evaluate = evaluate
    with pytest.raises(Stop):
        fit(task, settings, tmp_path / "a", quiet=True)
    fit(toy.Toy(), settings, tmp_path / "a", quiet=True)
    fit(toy.Toy(), settings, tmp_path / "b", quiet=True)
    assert ending(tmp_path / "a") == ending(tmp_path / "b")


def test_two_signals_while_the_average_leaves_save_the_weights(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second Ctrl-C may strike while the module's own weights are put back."""
    found = plain(toy, tmp_path, average="exponential")
    session, own = found.session, found.now()
    real, calls = torch.nn.Module.load_state_dict, []

    def deadly(module: torch.nn.Module, *args: Any, **kwargs: Any) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(module, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "load_state_dict", deadly)
    with pytest.raises(KeyboardInterrupt), session.averages.in_place():
        pass
    assert not torch.equal(found.now(), own)
    kept = session.averages.own_weights()
    order = [name for name, _ in session.module.named_parameters()]
    assert torch.equal(torch.cat([kept[name].flatten() for name in order]), own)


def test_the_lower_the_better_where_a_minus_says_so(toy: ModuleType, tmp_path: Path) -> None:
    values = iter([3.0, 1.0, 2.0, 4.0, 5.0])
    task = toy.Toy()
    task.evaluate = lambda: {"score": 0.0, "loss per row": next(values)}
    settings = replace(SETTINGS, epochs=5, watch="-loss per row", patience=2)
    result = fit(task, settings, tmp_path, quiet=True)
    assert (result.best, result.best_epoch, result.reason) == (1.0, 2, "patience")
    values = iter([3.0, 1.0, 2.0, 4.0, 5.0])
    result = fit(
        task, replace(settings, watch="loss per row", patience=0), tmp_path / "up", quiet=True
    )
    assert (result.best, result.best_epoch, result.epochs) == (5.0, 5, 5)


def test_a_task_that_watches_nothing_goes_on_doing_so(toy: ModuleType, tmp_path: Path) -> None:
    task = toy.Toy()
    task.watched = None
    result = fit(task, replace(SETTINGS, watch="score"), tmp_path, quiet=True)
    assert result.best is None and result.best_epoch == 3


def test_what_no_evaluation_gives_is_named(toy: ModuleType, tmp_path: Path) -> None:
    """The epoch before it is kept: the right name goes on from there."""
    task = toy.Toy()
    with pytest.raises(RunError, match=r"watches 'scor', which .*Did you mean 'score'\?"):
        fit(task, replace(SETTINGS, watch="scor"), tmp_path, quiet=True)
    assert task.given == 7
    task = toy.Toy()
    fit(task, replace(SETTINGS, watch="score"), tmp_path, quiet=True)
    assert task.given == 14
    fit(toy.Toy(), replace(SETTINGS, watch="score"), tmp_path / "whole", quiet=True)
    assert ending(tmp_path) == ending(tmp_path / "whole")
    with pytest.raises(RunError, match="begun with watch=score, now watch=other"):
        fit(toy.Toy(), replace(SETTINGS, watch="other"), tmp_path, quiet=True)


def test_a_name_that_is_none_of_the_announced_ones_costs_no_step(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = toy.Toy()
    task.numbers = ("score",)
    with pytest.raises(RunError, match=r"watches 'scor', which .*Did you mean 'score'\?"):
        fit(task, replace(SETTINGS, watch="-scor"), tmp_path, quiet=True)
    assert task.given == 0
    assert fit(task, replace(SETTINGS, watch="-score"), tmp_path, quiet=True).finished


def test_a_watched_number_that_is_not_finite_keeps_the_epoch(
    toy: ModuleType, tmp_path: Path
) -> None:
    task = toy.Toy()
    task.evaluate = lambda: {"score": math.nan}
    with pytest.raises(RunError, match="gave score = nan"):
        fit(task, SETTINGS, tmp_path, quiet=True)
    task = toy.Toy()
    fit(task, SETTINGS, tmp_path, quiet=True)
    assert task.given == 14


def test_an_older_checkpoint_had_no_average(toy: ModuleType, tmp_path: Path) -> None:
    """Settings that it does not name are as their defaults; no average is looked for."""
    from .test_damage import edit

    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True, stop_after=8)
    new = ("average", "average_decay", "average_epochs", "watch", "clip_value", "rms_decay",
           "constant_epochs")  # fmt: skip
    file = tmp_path / "checkpoints" / "step-000000008.json"
    edit(file, lambda content: [content["state"]["settings"].pop(name) for name in new])
    fit(toy.Toy(), SETTINGS, tmp_path, quiet=True)
    fit(toy.Toy(), SETTINGS, tmp_path / "whole", quiet=True)
    assert ending(tmp_path) == ending(tmp_path / "whole")
    with pytest.raises(RunError, match=r"begun with average=none, now average=epochs"):
        fit(toy.Toy(), replace(SETTINGS, average="epochs"), tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clip_value": -1.0}, "clip_value is at least 0"),
        ({"average_decay": 1.0}, "average_decay lies in"),
        ({"average_epochs": 0}, "average_epochs is at least 1"),
        ({"average_epochs": 101}, "average_epochs is at most 100"),
        ({"rms_decay": math.nan}, "rms_decay lies in"),
    ],
)
def test_options_without_sense_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(SETTINGS, **values)
