"""A captioner and its backbone learn together: gradients, batches, exact resume, a whole run."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from miacap import captioning, runs, visual
from miacap.captioning import tuning
from miacap.captioning.inputs import Inputs
from miacap.captioning.seeing import PhotoPictures, SeeingCaptioner
from miacap.captioning.self_critical import SelfCriticalTask
from miacap.cli.application import app
from miacap.data import FeatureStore
from miacap.errors import SettingsError
from miacap.files import sha256
from miacap.runs import CrossEntropy, Run, SelfCritical
from miacap.settings import to_json
from miacap.text import PAD
from miacap.visual import tuned
from miacap.visual.learning import rows_of
from miacap.weights import read_tensors

from .tuning_world import NAME, PLAIN, SmallWorld, begun, settings


@pytest.fixture
def world(tuning_world: SmallWorld) -> SmallWorld:
    return tuning_world


def test_the_loss_is_that_of_the_photos_as_they_are_seen(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words of the captions, rows of the network; gradients reach both, through both."""
    task = begun(world, tmp_path / "run", monkeypatch, flips=False, crops=0.0)
    batch = next(iter(task.batches(0, 0)))
    module: SeeingCaptioner = task.module
    module.eval()
    loss, weight = task.loss(module, batch)
    loss.backward()
    total = 0.0
    network, grid = visual.load(NAME, "cpu"), world.start.preprocessing
    captioner = world.start.captioner("cpu")
    for place, name in enumerate(batch.pictures.names):
        photo = visual.decode(world.dataset.photos.read(name))
        map = network.map(visual.prepare(photo, grid)[None])
        alone = replace(world_pictures(world, name), regions=map.flatten(2).transpose(1, 2))
        with torch.no_grad():
            logits = captioner(alone, batch.words[place : place + 1])
        targets = batch.targets[place : place + 1]
        total += float(cross_entropy(logits[targets != PAD], targets[targets != PAD],
                                     reduction="sum"))  # fmt: skip
    assert float(loss.detach()) == pytest.approx(total, rel=1e-3)
    assert int(weight) == int((batch.targets != PAD).sum())
    reached = {n.split(".")[0] for n, p in module.named_parameters() if p.grad is not None
               and float(p.grad.abs().sum()) > 0}  # fmt: skip
    assert reached == {"backbone", "captioner"}
    group = task.groups()[0]
    assert (group.rate, group.weight_decay) == (0.3, 0.0)
    own = {id(p) for p in module.backbone.parameters()}
    assert {id(p) for p in group.parameters} == own


def test_another_dropout_goes_with_the_weights(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(world.start)
    for dropout in (0.5, 0.1):
        chosen = replace(wanted, sizes={**wanted.sizes, "dropout": dropout})
        task = begun(world, tmp_path / f"{dropout}", monkeypatch, chosen)
        parts = task.module.captioner.modules()
        assert {part.p for part in parts if isinstance(part, torch.nn.Dropout)} == {dropout}


def world_pictures(world: SmallWorld, name: str) -> Any:
    return Inputs.of_run(world.start, world.regions).stored([name])


def test_batches_hang_on_the_epoch_and_leave_out_what_cannot_be_read(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = begun(world, tmp_path / "run", monkeypatch)
    whole = list(task.batches(1, 0))
    assert task.batches_per_epoch == len(whole) == 3
    names = [name for batch in whole for name in batch.pictures.names]
    assert sorted(names) == sorted(
        e.id for e in world.dataset.split("train") if e.id != "scene-000002.png"
    )
    again = list(task.batches(1, 2))
    assert len(again) == 1 and again[0].pictures.names == whole[2].pictures.names
    assert torch.equal(again[0].pictures.pixels, whole[2].pictures.pixels)
    assert torch.equal(again[0].words, whole[2].words)
    moved = whole[0].pictures.to("cpu")
    assert isinstance(moved, PhotoPictures) and moved.pixels is not None


def test_order_and_views_hang_on_the_seed(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Tensor]] = []
    for seed in (0, 5):
        chosen = settings(world.start)
        chosen = replace(chosen, training=replace(chosen.training, seed=seed))
        task = begun(world, tmp_path / str(seed), monkeypatch, chosen)
        batches = [batch.pictures for batch in task.batches(0, 0)]
        seen.append({n: p for b in batches for n, p in zip(b.names, b.pixels, strict=True)})
    one, other = seen
    assert list(one) != list(other) and one.keys() == other.keys()
    assert not any(torch.equal(one[name], other[name]) for name in one)


def contents(folder: Path) -> Mapping[str, Tensor]:
    return {
        f"{file}/{name}": value
        for file in ("weights.safetensors", "backbone.safetensors")
        for name, value in read_tensors(folder / file).items()
    }


def test_what_is_stopped_anywhere_ends_alike(
    world: SmallWorld, finished: Path, tmp_path: Path
) -> None:
    again = settings(world.start)
    for _ in range(9):
        result = captioning.tune(
            world.dataset, tmp_path / "run", world.start, again, quiet=True, stop_after=2
        )
        if result.finished:
            break
    one, other = contents(finished), contents(tmp_path / "run")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_as_any_other_comes_out(
    world: SmallWorld, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It captions photos elsewhere, and features of its backbone are its features."""
    run = runs.load(finished)
    assert run.settings.start is not None and run.settings.tuning is not None
    assert run.preprocessing.weights_sha256 == sha256(finished / "backbone.safetensors")
    assert run.preprocessing.weights_sha256 != world.start.preprocessing.weights_sha256
    # The run was scored on rows in float32 of photos as they are, so they are seen so for it.
    assert (world.start.preprocessing.precision, run.preprocessing.precision) == (
        "bfloat16", "float32",
    )  # fmt: skip
    assert (world.start.preprocessing.flips, run.preprocessing.flips) == (True, False)
    how = replace(run.preprocessing, precision="bfloat16", flips=True)
    carried = tuned.carried(how, finished, "cpu")
    assert carried is not None and not {"precision", "flips"} & {*carried.preparation}
    before, after = world.start.captioner("cpu").state_dict(), run.captioner("cpu").state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    store = visual.extract(
        world.dataset, tmp_path / "features", backbone=f"tuned:{finished}", device="cpu", quiet=True
    )
    evaluation = captioning.evaluate(run, world.dataset, "dev", store, quiet=True)
    told = {row.id: row.caption for row in evaluation.rows}
    monkeypatch.setattr(visual.lite, "weights_path", None)
    shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("tuning"))
    pipeline = captioning.Pipeline(tmp_path / "run", device="cpu")
    photos = [world.dataset.photos.read(id) for id in told]
    rows = pipeline.rows(photos, list(told))
    assert {row.id: row.caption for row in rows} == told
    card = (finished / "README.md").read_text()
    assert (
        "tuned on the captions of 15 training photos" in card and "beginning with the run" in card
    )
    lines = (finished / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2 and json.loads(lines[0])["distinct"] >= 1


def test_dev_scores_are_those_of_the_stored_features(
    world: SmallWorld, finished: Path, tmp_path: Path
) -> None:
    """What an evaluation during training said is what the finished run gets, of its features."""
    run = runs.load(finished)
    for name, of in (("features", run), ("before", world.start)):
        given = ["features", world.root / "scenes", "--run", of.folder, "-o", tmp_path / name]
        done = CliRunner().invoke(app, [*map(str, given), "--device", "cpu", "-q"])
        assert done.exit_code == 0, (done.output, done.exception)
        # Network, size, precision and flips: all that the run reads.
        assert FeatureStore.open(tmp_path / name).manifest.preprocessing == of.preprocessing
    store = FeatureStore.open(tmp_path / "features")
    assert sha256(tmp_path / "features" / "backbone.safetensors") == (
        run.preprocessing.weights_sha256
    )
    said = json.loads((finished / "dev.json").read_text())
    evaluation = captioning.evaluate(run, world.dataset, "dev", store, quiet=True)
    found = evaluation.scores["CIDEr-D"]
    assert said["scores"]["CIDEr-D"] == pytest.approx(float(found), abs=1e-6)


def test_settings_without_effect_are_told(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    wanted = settings(world.start)
    wanted = replace(wanted, training=replace(wanted.training, momentum=0.5))
    monkeypatch.setattr(tuning, "fit", lambda *_, **__: 1 / 0)
    for quiet in (True, False):
        with pytest.raises(ZeroDivisionError):
            captioning.tune(world.dataset, tmp_path / "run", world.start, wanted, quiet=quiet)
        assert ("training.momentum=0.5 has no effect" in capsys.readouterr().err) != quiet


def test_photos_that_the_run_may_have_seen_are_told_of(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(tuning, "fit", lambda *_, **__: 1 / 0)
    (own,) = world.dataset.sources
    other = replace(world.dataset, sources=(own, replace(own, name="z.csv", sha256="0" * 64)))
    said = "was not trained on z.csv; its words are kept, and whether it saw the dev pictures"
    for dataset, quiet in ((world.dataset, False), (other, True), (other, False)):
        with pytest.raises(ZeroDivisionError):
            captioning.tune(dataset, tmp_path / "run", world.start, quiet=quiet)
        err = capsys.readouterr().err
        wanted = f"note: {world.start.folder} {said} is not known." if dataset is other else ""
        assert (wanted in err) if wanted and not quiet else ("not trained on" not in err)


def smoothed(world: SmallWorld, folder: Path) -> Run:
    """The run as if it had been trained with label smoothing."""
    shutil.copytree(world.start.folder, folder)
    tree = json.loads((folder / "settings.json").read_text())
    tree["objective"]["label_smoothing"] = 0.1
    (folder / "settings.json").write_text(json.dumps(tree))
    return runs.load(folder)


def test_the_objective_of_the_run_is_kept_and_a_begun_folder_keeps_its_own(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    start, quiet = smoothed(world, tmp_path / "start"), {"quiet": True, "stop_after": 1}
    tasks: list[Any] = []
    monkeypatch.setattr(tuning, "fit", lambda task, *_, **__: tasks.append(task) or 1 / 0)
    for folder, wanted in (("new", None), ("old", replace(runs.tuned(start), objective=PLAIN))):
        with pytest.raises(ZeroDivisionError):
            captioning.tune(world.dataset, tmp_path / folder, start, wanted, **quiet)  # type: ignore[arg-type]
        file = tmp_path / folder / "tuning" / "begun.json"
        begun = json.loads(file.read_text())
        del begun["settings"]["block_repeats"]  # as if that setting came later
        file.write_text(json.dumps(begun))
        with pytest.raises(ZeroDivisionError):
            captioning.tune(world.dataset, tmp_path / folder, start)
    assert [task.objective.label_smoothing for task in tasks] == [0.1, 0.1, 0.0, 0.0]
    new, old = [line for line in capsys.readouterr().err.splitlines() if "objective" in line]
    assert new.endswith(
        "keeps the objective of " + f"{start.folder}: objective.label_smoothing=0.1."
    )
    assert old.endswith("objective.label_smoothing=0.0 (there 0.1).")


def test_other_processes_seek_what_the_main_one_was_begun_with(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought = CrossEntropy(label_smoothing=0.2)
    other = SimpleNamespace(from_main=lambda work: [to_json(sought), work()[1]])
    monkeypatch.setattr(tuning, "join", lambda _: other)
    assert begun(world, tmp_path / "run", monkeypatch).objective == sought


def test_self_critical_training_of_both(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples, rewards and loss are those of the rows that the network sees."""
    objective = SelfCritical(samples=4, rewards={"BLEU-1": 1.0, "ROUGE-L": 1.0})
    how = {"flips": False, "crops": 0.0}
    wanted = replace(settings(world.start, **how), objective=objective, beam=1)
    task = begun(world, tmp_path / "run", monkeypatch, wanted)
    batch, module = next(iter(task.batches(0, 0))), task.module
    torch.manual_seed(1)
    loss, weight = task.loss(module, batch)
    loss.backward()
    reached = {n.split(".")[0] for n, p in module.named_parameters() if p.grad is not None
               and float(p.grad.abs().sum()) > 0}  # fmt: skip
    assert reached == {"backbone", "captioner"}
    with torch.no_grad():
        rows = rows_of(module.backbone(batch.pictures.pixels)).float()
    seen = replace(batch, pictures=replace(batch.pictures, regions=rows, pixels=None))
    none: Any = None
    plain = SelfCriticalTask(module.captioner, none, task.reward, none, wanted.search, objective)
    torch.manual_seed(1)
    alone, words = plain.loss(module.captioner, seen)
    assert float(loss.detach()) == pytest.approx(float(alone.detach()), rel=1e-4)
    assert abs(float(loss.detach())) > 1e-4 and int(weight) == int(words)
    looks: list[object] = []
    see = task.looking.__self__.rows.see
    monkeypatch.setattr(task.looking.__self__.rows, "see", lambda *a: (looks.append(1), see(*a)))
    numbers = task.evaluate()
    assert list(numbers) == list(task.numbers) and len(looks) == 1
    assert numbers["reward BLEU-1"] > 0 and not task.looking.__self__.rows._rows
    assert len(task.examples) == 2


def test_the_verb(world: SmallWorld, tmp_path: Path) -> None:
    def go(*arguments: object) -> Any:
        return CliRunner().invoke(app, ["tune", *(str(argument) for argument in arguments)])

    done = go(
        world.root / "scenes", "--from", world.start.folder, "-o", tmp_path / "run", "-q",
        "--device", "cpu", "--seed", "5", "--set", "tuning.stages=1", "--set", "training.epochs=1",
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    assert "best on dev: BLEU-4" in done.output
    run = runs.load(tmp_path / "run").settings
    assert run.training.seed == 5 and run.tuning is not None and run.tuning.stages == 1
    for more, said in ((("--backbone", NAME), "leave --backbone out"),):
        wrong = go(world.root / "scenes", "--from", world.start.folder, "-o", tmp_path / "x", *more)
        assert isinstance(wrong.exception, SettingsError) and said in str(wrong.exception)
    wrong = go(world.root / "scenes", "--concepts", tmp_path, "-o", tmp_path / "x")
    assert isinstance(wrong.exception, SettingsError) and "--from RUN" in str(wrong.exception)
    assert tuned.Tuning.of(tmp_path / "run") is not None
    done = go(
        world.root / "scenes", "--from", world.start.folder, "-o", tmp_path / "critical", "-q",
        "--device", "cpu", "--set", "objective=self-critical", "--set", "tuning.stages=1",
        "--set", "training.epochs=1", "--set", "objective.samples=2",
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    run = runs.load(tmp_path / "critical")
    assert run.settings.objective == SelfCritical(samples=2)
    assert (run.settings.training.optimiser, run.settings.training.learning_rate) == ("adam", 5e-5)
    assert "It learned self-critically" in (run.folder / "README.md").read_text()
    row = json.loads((run.folder / "metrics.jsonl").read_text())
    assert row["train reward spread"] >= 0 and row["samples per second"] > 0
