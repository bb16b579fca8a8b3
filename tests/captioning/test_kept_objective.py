"""A training that begins with a run keeps what that run sought, where it seeks the same."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from miacap import runs
from miacap.captioning import training
from miacap.cli.train import _settings
from miacap.errors import RunError
from miacap.runs import CrossEntropy, Run, RunSettings, SelfCritical
from miacap.runs.settings import captioner_training
from miacap.runs.starting import what_is_sought
from miacap.settings import to_json

from .small import World, fit, make, settings

SMOOTHED = CrossEntropy(label_smoothing=0.1, sampling_most=0.25)


REWARDED = SelfCritical(samples=3, rewards={"BLEU-4": 1.0})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("keeping"))


@pytest.fixture(scope="module")
def begun(world: World) -> Run:
    """A run of cross-entropy, of one epoch."""
    wanted = settings("up-down", "plain")
    wanted = replace(wanted, training=replace(wanted.training, epochs=1))
    return fit(world, world.root / "begun", wanted, None)


def seeking(run: Run, objective: Any) -> Run:
    return replace(run, settings=replace(run.settings, objective=objective))


def test_a_run_that_seeks_the_same_keeps_its_objective(begun: Run) -> None:
    smoothed, rewarded = seeking(begun, SMOOTHED), seeking(begun, REWARDED)
    for settings_of in (runs.continued, runs.tuned):
        assert settings_of(smoothed, "cross-entropy").objective == SMOOTHED
        assert settings_of(smoothed, "self-critical").objective == SelfCritical()
        assert settings_of(rewarded, "self-critical").objective == REWARDED
        assert settings_of(rewarded, "cross-entropy").objective == CrossEntropy()
    assert runs.continued(smoothed, "cross-entropy").training == captioner_training()


def test_what_is_set_goes_before_the_objective_of_the_run(begun: Run) -> None:
    def chosen(run: Run, *sets: str) -> Any:
        return _settings(run, None, None, 0, list(sets)).objective

    smoothed, rewarded = seeking(begun, SMOOTHED), seeking(begun, REWARDED)
    assert chosen(smoothed) == SMOOTHED == chosen(smoothed, "objective=cross-entropy")
    less = chosen(smoothed, "objective.label_smoothing=0")
    assert less == replace(SMOOTHED, label_smoothing=0.0)
    assert chosen(smoothed, "objective=self-critical") == SelfCritical()
    assert chosen(rewarded) == CrossEntropy()
    assert chosen(rewarded, "objective=self-critical") == REWARDED
    more = chosen(rewarded, "objective=self-critical", "objective.samples=4")
    assert more == replace(REWARDED, samples=4)


@pytest.mark.parametrize("how", ["train", "tune"])
def test_a_folder_goes_on_with_the_objective_that_it_was_begun_with(
    begun: Run, tmp_path: Path, how: str
) -> None:
    """Also where an older version began it, which kept nothing of the run's objective."""
    run, older = seeking(begun, SMOOTHED), replace(runs.continued(begun), objective=CrossEntropy())
    file = tmp_path / ("settings.json" if how == "train" else "tuning/begun.json")
    file.parent.mkdir(exist_ok=True)

    def found(settings: RunSettings, kind: Any = "cross-entropy") -> Any:
        tree = to_json(settings)
        file.write_text(json.dumps(tree if how == "train" else {"settings": tree}))
        objective = runs.continued(run, kind, tmp_path).objective
        assert runs.tuned(run, kind, tmp_path).objective == objective
        return objective

    assert found(older) == CrossEntropy()
    assert found(replace(older, objective=REWARDED)) == SMOOTHED
    assert found(replace(older, objective=REWARDED), "self-critical") == REWARDED
    assert older.start is not None
    others = replace(older, start=replace(older.start, weights_sha256="0" * 64))
    assert found(others) == SMOOTHED == found(replace(older, start=None))
    for damaged in ("[]", "no JSON", '{"settings": []}', '{"start": {}}'):
        file.write_text(damaged)
        assert runs.continued(run, "cross-entropy", tmp_path).objective == SMOOTHED


def test_other_processes_seek_what_the_main_one_was_begun_with(
    begun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On other machines they do not see its folder; a loss of each would be summed in silence."""
    tasks: list[Any] = []
    other = SimpleNamespace(from_main=lambda work: [work(), to_json(SMOOTHED)][1])
    monkeypatch.setattr(training, "join", lambda _: other)
    monkeypatch.setattr(training, "fit", lambda task, *_, **__: tasks.append(task) or 1 / 0)
    wanted = replace(runs.continued(begun, "cross-entropy"), beam=1)
    with pytest.raises(ZeroDivisionError):
        fit(make(tmp_path), tmp_path / "run", wanted, None, start=begun)
    assert tasks[0].objective == SMOOTHED != wanted.objective


def test_what_is_kept_of_an_objective_is_said(begun: Run) -> None:
    run = seeking(begun, SMOOTHED)
    assert what_is_sought(run, SMOOTHED) == (
        f"This training keeps the objective of {run.folder}: objective.label_smoothing=0.1, "
        "objective.sampling_most=0.25."
    )
    assert what_is_sought(run, CrossEntropy(label_smoothing=0.2, sampling_most=0.25)) == (
        f"This training has another objective than {run.folder}: objective.label_smoothing=0.2 "
        "(there 0.1)."
    )
    assert what_is_sought(run, SelfCritical()) is None
    assert what_is_sought(seeking(begun, REWARDED), CrossEntropy()) == (
        f"{run.folder} was trained with objective=self-critical, and this training has "
        "objective=cross-entropy; to go on as there, add --set objective=self-critical."
    )
    assert what_is_sought(begun, CrossEntropy()) is None
    told = what_is_sought(seeking(begun, REWARDED), REWARDED)
    assert told is not None and told.endswith(
        'objective.samples=3, objective.rewards={"BLEU-4": 1.0}.'
    )


def test_a_command_without_the_objective_that_was_begun_is_refused(
    world: World, begun: Run, tmp_path: Path
) -> None:
    folder, wanted = tmp_path / "r", replace(runs.continued(begun), objective=SelfCritical())
    wanted = replace(wanted, training=replace(wanted.training, epochs=2, threads=1))
    for stop in (1, None):  # neither one that is not finished nor one that is goes on otherwise
        fit(world, folder, wanted, None, start=begun, stop_after=stop)
        before = (folder / "settings.json").read_bytes()
        left_out = runs.continued(begun, "cross-entropy", folder)
        with pytest.raises(RunError, match="add --set objective=self-critical to go on"):
            fit(world, folder, left_out, None, start=begun)
        assert (folder / "settings.json").read_bytes() == before
    assert (folder / "dev.json").is_file()
