"""Settings that were chosen and have no effect are told, each with what it would need."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from miacap.cli.application import app
from miacap.concepts.idle import tell_idle
from miacap.errors import SettingsError
from miacap.runs import CrossEntropy, Run, RunSettings, SelfCritical
from miacap.runs.idle import without_effect
from miacap.runs.settings import captioner_training, tuned_training
from miacap.training import TrainingSettings
from miacap.training.idle import idle

from ..captioning.small import fit, make, settings

NEEDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "betas": ((0.8, 0.9), {"optimiser": "adam"}),
    "momentum": (0.5, {"optimiser": "sgd"}),
    "rms_decay": (0.5, {"optimiser": "rmsprop"}),
    "schedule_epochs": (4, {"schedule": "cosine"}),
    "final_factor": (0.1, {"schedule": "linear"}),
    "step_epochs": (2, {"schedule": "step"}),
    "step_factor": (0.5, {"schedule": "exponential"}),
    "constant_epochs": (2, {"schedule": "step"}),
    "average_decay": (0.5, {"average": "exponential"}),
    "average_epochs": (2, {"average": "epochs"}),
}


@pytest.mark.parametrize("name", NEEDS)
def test_a_setting_that_another_one_leaves_unread_is_told(name: str) -> None:
    value, needs = NEEDS[name]
    switch = next(iter(needs))
    chosen = TrainingSettings(optimiser="rmsprop", schedule="inverse-root", **{name: value})
    if name == "rms_decay":
        chosen = replace(chosen, optimiser="adamw")
    [told] = idle(chosen)
    assert told.startswith(f"training.{name}={value if name != 'betas' else [0.8, 0.9]} has no ")
    assert f"training.{switch} is {getattr(chosen, switch)}, not " in told
    assert idle(replace(chosen, **needs)) == []


def test_the_usual_settings_are_no_news() -> None:
    for usual in (TrainingSettings(), captioner_training(), tuned_training()):
        assert idle(usual) == []
    # A warm-up takes at most half of the schedule's steps, whatever falls afterwards.
    late = TrainingSettings(schedule="constant", schedule_epochs=3, warmup_steps=9)
    assert idle(late) == [] and idle(replace(late, warmup_steps=0)) != []


def run(objective: CrossEntropy | SelfCritical, **more: Any) -> RunSettings:
    made = RunSettings("nic", "plain", objective=objective, **more)
    return replace(made, training=replace(made.training, epochs=5))


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (CrossEntropy(), None),
        (CrossEntropy(sampling_every=2), "sampling_every=2 has no effect: objective.sampling_most"),
        (CrossEntropy(sampling_most=0.2, sampling_increase=0.0), "sampling_increase is 0"),
        (CrossEntropy(sampling_most=0.2), r"words are drawn after 5 epochs .* this training has 5"),
        (CrossEntropy(sampling_most=0.2, sampling_every=4), None),
        (CrossEntropy(sampling_most=0.2, sampling_every=4, sampling_begin=1), "after 5 epochs"),
    ],
)
def test_scheduled_sampling_that_never_begins_is_told(
    chosen: CrossEntropy, said: str | None
) -> None:
    found = without_effect(run(chosen))
    assert len(found) == (said is not None)
    if said is not None:
        assert re.search(said, found[0])


def test_another_dropout_of_a_training_without_dropout_is_told() -> None:
    start = cast(Run, SimpleNamespace(settings=run(CrossEntropy(), sizes={"dropout": 0.3})))
    same = run(SelfCritical(), sizes={"dropout": 0.3})
    other = run(SelfCritical(), sizes={"dropout": 0.1})
    assert without_effect(same, start) == []
    assert without_effect(other, start) == [
        "sizes.dropout=0.1 has no effect: objective.dropout is false"
    ]
    assert without_effect(replace(other, objective=SelfCritical(dropout=True)), start) == []
    assert without_effect(run(CrossEntropy(), sizes={"dropout": 0.1}), start) == []


def test_a_number_of_concepts_beside_as_many_as_regions_is_told() -> None:
    fed = RunSettings("nic", "combined", concepts=9)
    assert "sizes.rows is match" in without_effect(fed)[0]
    assert without_effect(replace(fed, sizes={"rows": "aligned"})) == []


def test_training_tells_it_unless_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world, wanted = make(tmp_path), settings("nic", "plain")
    wanted = replace(wanted, training=replace(wanted.training, momentum=0.5))
    said = "note: training.momentum=0.5 has no effect: training.optimiser is adamw, not sgd.\n"
    fit(world, tmp_path / "told", wanted, None, quiet=False, stop_after=0)
    assert said in capsys.readouterr().err
    fit(world, tmp_path / "quiet", wanted, None, stop_after=0)
    assert "no effect" not in capsys.readouterr().err


def test_concepts_tell_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    tell_idle(TrainingSettings(), dev=False)
    tell_idle(TrainingSettings(watch="mAP"), dev=True)
    assert capsys.readouterr().err == ""
    tell_idle(TrainingSettings(watch="mAP", seed=3, rms_decay=0.5), dev=False)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" has no effect: ")[0] for line in lines] == [
        "note: training.rms_decay=0.5", "note: training.seed=3", "note: training.watch=mAP",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [("region_width=7", "the features decide it"), ("start.run=x", "--from RUN"),
     ("word_vectors=null", "--word-vectors FILE"),
     ("tuning.stages=2", "miacap tune DATA --from RUN")],
)  # fmt: skip
def test_what_is_not_chosen_is_refused(tmp_path: Path, name: str, said: str) -> None:
    for command in (("train", "d", "--features", "f", "-o", "x"), ("reproduce", "nic-plain")):
        done = CliRunner().invoke(app, [*command, "--set", name])
        assert isinstance(done.exception, SettingsError), done.output
        assert "cannot be set: " in str(done.exception) and said in str(done.exception)
