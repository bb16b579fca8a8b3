"""The commands on the model card: read by the command line, they give the run's own settings."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import recipe  # pretrained/recipe.py; conftest.py says where
import typer

from miacap import runs
from miacap.cli.application import app
from miacap.cli.train import _settings
from miacap.data import Preprocessing, Source
from miacap.errors import RunError
from miacap.files import sha256
from miacap.runs import BackboneTuning, CrossEntropy, Run, RunSettings, SelfCritical, Start
from miacap.runs import folder as module
from miacap.settings import override
from miacap.text import Vocabulary
from miacap.weights import write_weights

WORDS = Vocabulary(["a", "cat", "dog"])
SOURCES = (Source("captions.csv", "1" * 64, 10, "CC0"),)
FIRST = RunSettings(
    "nic", "plain", {"width": 8, "word_width": 8, "dropout": 0.4}, region_width=6,
    objective=CrossEntropy(label_smoothing=0.1), beam=4,
)  # fmt: skip
FIRST = replace(
    FIRST,
    training=replace(FIRST.training, epochs=8, seed=7, threads=1, betas=(0.8, 0.99), watch="-loss"),
)


def lay(folder: Path, settings: RunSettings, record: Preprocessing | None = None) -> Run:
    record = record or Preprocessing("efficientnet-lite2", "0" * 64)
    laid = runs.create(folder, settings, WORDS, record, SOURCES)
    write_weights(
        folder / "weights.safetensors", module.build(laid.settings, len(WORDS)).state_dict()
    )
    return laid


def parsed(command: str) -> dict[str, Any]:
    words = shlex.split(command)[1:]
    verb = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    return verb.make_context(words[0], words[1:]).params


def free(settings: RunSettings) -> RunSettings:
    """Without what no command sets: that changes no number, or that the features decide."""
    training = replace(settings.training, device="auto")
    return replace(settings, training=training, start=None, region_width=6)


def of_command(command: str, start: Run | None = None) -> RunSettings:
    given = parsed(command)
    sets = given.get("sets") or []
    if command.startswith("miacap tune"):
        assert start is not None
        settings = runs.tuned(start, override(runs.tuned(start), sets).objective.kind)
        settings = replace(settings, training=replace(settings.training, seed=given["seed"]))
        return override(settings, sets)
    return _settings(start, given["captioner"], given["source"], given["seed"], sets)


def began(run: Run) -> Start:
    return Start(run.folder.name, sha256(run.folder / "weights.safetensors"))


def test_a_run_from_nothing(tmp_path: Path) -> None:
    run = lay(tmp_path / "first", FIRST)
    features, train = recipe.commands(run)
    assert features == "miacap features flickr8k -o features"
    assert train.startswith("miacap train flickr8k --features features --captioner nic --source")
    assert parsed(train)["output"] == Path("runs/first")
    assert free(of_command(train)) == free(FIRST)


def test_a_run_whose_backbone_learned_and_one_that_began_with_it(tmp_path: Path) -> None:
    first = lay(tmp_path / "first", FIRST)
    tuning = runs.tuned(first)
    tuning = replace(
        tuning, start=began(first), tuning=BackboneTuning(stages=4, rate=0.1),
        training=replace(tuning.training, epochs=3, seed=2),
    )  # fmt: skip
    tuned = lay(tmp_path / "tuned", tuning)
    rewards = {"CIDEr-D": 1.0, "BLEU-4": 0.5}
    last = runs.continued(tuned)
    last = replace(
        last, start=began(tuned), objective=SelfCritical(baseline="greedy", rewards=rewards),
        training=replace(last.training, epochs=2, learning_rate=1e-5),
    )  # fmt: skip
    run = lay(tmp_path / "last", last)
    (run.folder / "backbone.safetensors").write_bytes(b"tuned")
    commands = recipe.commands(run)
    assert [command.split()[1] for command in commands] == [
        "features", "train", "tune", "features", "train",
    ]  # fmt: skip
    assert commands[:2] == recipe.commands(first)
    assert parsed(commands[2])["start"] == Path("runs/first")
    assert free(of_command(commands[2], first)) == free(tuning)
    made = "miacap features flickr8k --backbone tuned:runs/tuned -o features-tuned"
    assert commands[3] == made
    assert parsed(commands[4])["features"] == Path("features-tuned")
    assert free(of_command(commands[4], tuned)) == free(last)


def test_a_backbone_that_learned_from_rewards(tmp_path: Path) -> None:
    first = lay(tmp_path / "first", FIRST)
    settings = replace(runs.tuned(first, "self-critical"), start=began(first))
    settings = replace(settings, objective=SelfCritical(samples=3))
    last = recipe.commands(lay(tmp_path / "last", settings))[-1]
    assert last.startswith("miacap tune flickr8k --from runs/first -o runs/last --seed 0 --set obj")
    assert free(of_command(last, first)) == free(settings)


def test_features_that_were_prepared_otherwise(tmp_path: Path) -> None:
    record = Preprocessing("efficientnet-lite0", "0" * 64, size=320, grid=(7, 7))
    features, _ = recipe.commands(lay(tmp_path / "first", FIRST, record))
    assert features == (
        "miacap features flickr8k --backbone efficientnet-lite0 --set size=320 --set 'grid=[7,7]' "
        "-o features"
    )


@pytest.mark.parametrize("how", ["absent", "another"])
def test_an_earlier_run_that_is_not_there_is_missed(tmp_path: Path, how: str) -> None:
    first = lay(tmp_path / "first", FIRST)
    settings = replace(runs.continued(first), start=began(first))
    run = lay(tmp_path / "last", settings)
    if how == "absent":
        (tmp_path / "first" / "weights.safetensors").unlink()
    else:
        write_weights(tmp_path / "first" / "weights.safetensors", {})
    with pytest.raises(RunError, match="is not here, or was trained on since; put it there"):
        recipe.commands(run)
