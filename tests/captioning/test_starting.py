"""A training that begins with a run: what it keeps, what it refuses, what it leaves behind."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from miacap import captioners, captioning, metrics, runs
from miacap.captioning import training as module
from miacap.captioning.outcome import behind
from miacap.captioning.self_critical import SelfCriticalTask
from miacap.data import Dataset
from miacap.errors import DataError, RunError, SettingsError
from miacap.runs import CARD, CrossEntropy, Run, RunSettings, SelfCritical, starting
from miacap.runs.starting import captioner_of
from miacap.text import EOS, tokenize_all
from miacap.training import FitResult

from ..records import evaluations
from .small import DATA, LONG, World, fit, make, settings, trained

TRAIN, DEV = (DATA.split(name).ids for name in ("train", "dev"))
BASELINES: tuple[dict[str, Any], ...] = (
    {},
    {"baseline": "greedy", "samples": 2},
    {"baseline": "beam", "samples": 3},
    {"samples": 3, "dropout": True, "rewards": {"CIDEr-D": 1.0, "BLEU-4": 0.5, "ROUGE-L": 2.0}},
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("starting"))


@pytest.fixture(scope="module")
def begun(world: World) -> Run:
    """A run of cross-entropy, of two epochs."""
    wanted = replace(settings("up-down", "plain", dropout=0.3), minimum_words=2, beam=2)
    wanted = replace(wanted, training=replace(wanted.training, epochs=2, learning_rate=0.02))
    return fit(world, world.root / "begun", wanted, None)


def further(run: Run, **objective: Any) -> RunSettings:
    """Two epochs of self-critical training from a run."""
    wanted = replace(runs.continued(run), objective=SelfCritical(**objective))
    training = replace(wanted.training, epochs=2, learning_rate=0.01, threads=1)
    return replace(wanted, training=training)


def lines(folder: Path) -> list[dict[str, Any]]:
    return evaluations(folder / "metrics.jsonl")


def test_the_settings_are_the_runs_and_the_training_is_the_objectives(begun: Run) -> None:
    found, kept = runs.continued(begun), begun.settings
    same = ("captioner", "source", "sizes", "region_width", "minimum_count", "maximum_words",
            "beam", "minimum_words", "pictures_per_batch")  # fmt: skip
    assert {n: getattr(found, n) for n in same} == {n: getattr(kept, n) for n in same}
    assert found.objective == SelfCritical(baseline="mean", samples=5)
    assert found.training.learning_rate == 5e-5 and found.training.schedule == "constant"
    weights = (begun.folder / "weights.safetensors").read_bytes()
    assert found.start == runs.Start("begun", hashlib.sha256(weights).hexdigest())
    other = replace(begun, settings=settings("transformer", "plain"))
    assert runs.continued(other).training.learning_rate == 1e-5
    assert runs.continued(begun, "cross-entropy").objective == CrossEntropy()


def test_the_concepts_that_a_run_reads_are_asked_for(
    world: World, begun: Run, tmp_path: Path
) -> None:
    wanted = settings("spatial-attention", "combined")
    other = replace(begun, settings=replace(wanted, region_width=begun.settings.region_width))
    with pytest.raises(DataError, match=r"The run begun, .* trained with: --concepts FOLDER$"):
        fit(world, tmp_path / "r", further(other), None, start=other)


def task_of(world: World, begun: Run, folder: Path, patch: Any, **objective: Any) -> Any:
    held: list[Any] = []

    def loop(task: Any, *_: object, **__: object) -> FitResult:
        held.append(task)
        raise KeyboardInterrupt

    patch.setattr(module, "fit", loop)
    with pytest.raises(KeyboardInterrupt):
        fit(world, folder, further(begun, **objective), None, start=begun)
    return held[0]


@pytest.mark.parametrize("kind", ["self-critical", "cross-entropy"])
def test_what_an_evaluation_gives_is_known_before_the_first_step(
    world: World, begun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    chosen = replace(further(begun), objective=runs.continued(begun, kind).objective)
    monkeypatch.setattr(module, "fit", lambda task, *_, **__: tasks.append(task) or 1 / 0)
    tasks: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        fit(world, tmp_path / "r", chosen, None, start=begun)
    assert list(tasks[0].evaluate()) == list(tasks[0].numbers)
    monkeypatch.undo()
    monkeypatch.setattr("miacap.training.loop.step", lambda *_: pytest.fail("a step"))
    watching = replace(chosen, training=replace(chosen.training, watch="CIDER-D"))
    with pytest.raises(RunError, match="Did you mean 'CIDEr-D'"):
        fit(world, tmp_path / "r", watching, None, start=begun)


def test_training_begins_with_the_best_weights_and_the_words(
    world: World, begun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its pictures say other words; those of the run are kept.
    task = task_of(world, begun, tmp_path / "r", monkeypatch, samples=4)
    assert isinstance(task, SelfCriticalTask) and task.objective.samples == 4
    wanted = begun.captioner("cpu").state_dict()
    found = task.module.state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert task.search == begun.settings.search
    names = [name for batch in task.batches(0, 0) for name in batch.pictures.names]
    assert sorted(names) == sorted(TRAIN)


def test_other_captions_keep_the_words_of_the_run(
    world: World, begun: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [replace(entry, captions=("a zebra and a dog",)) for entry in DATA]
    other = Dataset("others", tuple(pictures), DATA.photos, sources=(source("zebras.csv"),))
    wanted = replace(further(begun), training=replace(further(begun).training, epochs=1))
    run = fit(world, tmp_path / "r", wanted, None, start=begun, dataset=other, quiet=False)
    assert run.vocabulary.words == begun.vocabulary.words
    assert "was not trained on zebras.csv" in capsys.readouterr().err


def source(name: str) -> Any:
    from miacap.data import Source

    return Source(name, "9" * 64, 1)


def test_rewards_are_the_metrics_with_the_training_pictures_frequencies(
    world: World, begun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end counts in references, samples and frequencies; dev pictures are not counted."""
    weights = {"CIDEr-D": 0.5, "BLEU-4": 2.0, "ROUGE-L": 1.0}
    task = task_of(world, begun, tmp_path / "r", monkeypatch, rewards=weights)
    said = ["a dog and a cat", "the", "the bird", "a a a tree"]
    words = begun.vocabulary
    rows = [[*words.encode(text.split()), EOS] for text in said]
    rows[1].pop()  # cut off before its end
    ids = torch.zeros(1, 4, 6, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[0, index, : len(row)] = torch.tensor(row)
    texts = [f"{text} </s>" for text in said]
    texts[1] = "the"
    for name in (TRAIN[0], DEV[1]):
        found = task.reward.total(task.reward.scores((name,), ids))[0]
        for index, text in enumerate(texts):
            wanted = alone(name, text)
            total = sum(weight * wanted[metric] for metric, weight in weights.items())
            assert found[index] == pytest.approx(total, rel=1e-9)


def alone(name: str, text: str) -> dict[str, float]:
    """Scores of one caption, where document frequencies are those of the training pictures."""

    def ended(some: tuple[str, ...]) -> list[str]:
        return [f"{tokens} </s>" for tokens in map(" ".join, tokenize_all(some))]

    pictures = [[text.split() for text in ended(DATA.captions[key])] for key in TRAIN]
    counts = metrics.DocumentFrequencies.count(pictures)
    scores = metrics.score(
        {name: ended(DATA.captions[name])}, {name: text}, ["CIDEr-D", "BLEU-4", "ROUGE-L"],
        tokenized=True, frequencies=counts,
    )  # fmt: skip
    return {metric: scores.per_picture[metric][0] for metric in scores.per_picture}


def test_what_does_not_go_with_the_run_is_refused(world: World, begun: Run, tmp_path: Path) -> None:
    wanted = further(begun)
    for change, named in (
        ({"captioner": "nic"}, "captioner='up-down', not 'nic'"),
        ({"minimum_count": 2}, "minimum_count=1, not 2"),
        ({"sizes": {**wanted.sizes, "width": 16}}, r"sizes\.width=8, not 16"),
    ):
        with pytest.raises(SettingsError, match=f"begun: its weights were trained with {named}"):
            fit(world, tmp_path / "r", replace(wanted, **change), None, start=begun)
    with pytest.raises(SettingsError, match="'self-critical' begins here with a trained run: give"):
        fit(world, tmp_path / "r", replace(wanted, start=None), None)
    with pytest.raises(SettingsError, match="--from begun"):
        fit(world, tmp_path / "r", replace(wanted, objective=CrossEntropy()), None)
    weights = begun.folder / "weights.safetensors"
    empty = replace(begun, folder=tmp_path)
    with pytest.raises(RunError, match="no weights yet to begin with"):
        fit(world, tmp_path / "r", wanted, None, start=empty)
    assert weights.is_file() and not (tmp_path / "r").exists()


def test_features_and_concepts_of_another_kind_are_refused(world: World, tmp_path: Path) -> None:
    wanted = settings("spatial-attention", "combined")
    own, other = (trained(tmp_path / f"c{seed}", world.regions, seed) for seed in (0, 1))
    run = fit(world, tmp_path / "own", wanted, own)
    with pytest.raises(RunError, match="trained with another concept extractor"):
        fit(world, tmp_path / "r", further(run), other, start=run)
    changed = replace(run, preprocessing=replace(run.preprocessing, backbone="another"))
    with pytest.raises(RunError, match="backbone"):
        fit(world, tmp_path / "r", further(run), own, start=changed)
    done = fit(world, tmp_path / "r", further(run), own, start=run)
    assert done.concepts is not None and run.concepts is not None
    assert done.concepts.checksum == run.concepts.checksum == own.source.checksum


def test_features_of_another_width_are_named_as_such(
    world: World, begun: Run, tmp_path: Path
) -> None:
    """Nobody is told to set a size that follows the features."""
    wide = replace(begun, settings=replace(begun.settings, region_width=9))
    with pytest.raises(
        RunError, match=r"reads regions of 9 numbers, and .* has regions of 6; give"
    ):
        fit(world, tmp_path / "r", further(begun), None, start=wide)
    other = replace(wide, preprocessing=replace(begun.preprocessing, backbone="another"))
    with pytest.raises(RunError, match="made for another backbone"):
        fit(world, tmp_path / "r", further(begun), None, start=other)


def test_another_dropout_goes_with_the_weights(world: World, begun: Run, tmp_path: Path) -> None:
    wanted = further(begun)
    wanted = replace(wanted, sizes={**wanted.sizes, "dropout": 0.1})
    run = fit(world, tmp_path / "r", wanted, None, start=begun, stop_after=1)
    assert run.settings.sizes["dropout"] == 0.1 and begun.settings.sizes["dropout"] == 0.3


def test_the_weights_that_are_loaded_are_those_that_are_named(begun: Run) -> None:
    named = runs.continued(begun)
    assert named.start is not None
    found = captioner_of(begun, named).state_dict()
    wanted = begun.captioner("cpu").state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    other = replace(named, start=replace(named.start, weights_sha256="0" * 64))
    with pytest.raises(RunError, match="its weights changed while training was prepared"):
        captioner_of(begun, other)


def test_the_captioner_has_the_dropout_of_its_training(begun: Run) -> None:
    """With `train` and `tune` alike: the weights are the run's, the sizes the settings'."""
    wanted = runs.continued(begun)
    assert chances(captioner_of(begun, wanted)) == {0.3}
    wanted = replace(wanted, sizes={**wanted.sizes, "dropout": 0.1})
    assert chances(captioner_of(begun, wanted)) == {0.1}


def chances(module: torch.nn.Module) -> set[float]:
    return {part.p for part in module.modules() if isinstance(part, torch.nn.Dropout)}


def test_a_run_that_is_not_finished_is_told(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = settings("nic", "plain")
    wanted = replace(wanted, training=replace(wanted.training, epochs=3))
    part = fit(world, tmp_path / "part", wanted, None, stop_after=3)
    assert (part.folder / "weights.safetensors").is_file()
    capsys.readouterr()
    for told in (True, False):
        new = tmp_path / f"r{told}"
        fit(world, new, further(part), None, start=part, quiet=False, stop_after=1)
        assert ("part is not trained to its end" in capsys.readouterr().err) == told
        fit(world, part.folder, wanted, None)
    longer = replace(wanted, training=replace(wanted.training, epochs=9, patience=0))
    fit(world, part.folder, longer, None, stop_after=3)  # it has a card, and goes on
    fit(world, tmp_path / "again", further(part), None, start=part, quiet=False, stop_after=1)
    assert "part is not trained to its end" in capsys.readouterr().err


def test_a_training_that_made_its_run_worse_is_told(
    world: World, begun: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tree = json.loads((begun.folder / "dev.json").read_text())
    for name, score, told in (("better", 9.0, True), ("worse", -1.0, False)):
        shutil.copytree(begun.folder, tmp_path / name)
        scores = {**tree["scores"], "CIDEr-D": score}
        (tmp_path / name / "dev.json").write_text(json.dumps({**tree, "scores": scores}))
        start = runs.load(tmp_path / name)
        run = fit(world, tmp_path / f"from-{name}", further(start), None, start=start)
        said = capsys.readouterr().err
        assert (f"and that of {start.folder}, with which it began, is 9.0000" in said) == told
    better = runs.load(tmp_path / "better")
    behind_it = behind(better, run, {"CIDEr-D": 8.9})
    assert behind_it is not None and behind_it.endswith(f"or train {better.folder} longer first.")
    assert behind(runs.load(tmp_path / "better"), run, {"CIDEr-D": 9.0}) is None
    watching = replace(run.settings, training=replace(run.settings.training, watch="BLEU-4"))
    other = replace(run, settings=watching)
    assert behind(runs.load(tmp_path / "better"), other, {"CIDEr-D": 0.0}) is None
    monkeypatch.setattr(starting, "name_of", lambda _: "miacap-mine")  # an installed captioner
    assert "and that of miacap-mine, with which" in str(behind(better, run, {"CIDEr-D": 8.9}))
    data = json.loads((run.folder / "data.json").read_text())
    data["sources"].append({"name": "more.csv", "sha256": "ab" * 32})
    (run.folder / "data.json").write_text(json.dumps(data))  # other captions: nobody can tell
    assert behind(runs.load(tmp_path / "better"), run, {"CIDEr-D": 0.0}) is None


@pytest.mark.parametrize("objective", [BASELINES[0], BASELINES[3]], ids=["mean", "dropout"])
def test_a_run_in_pieces_ends_as_a_whole_one(
    world: World, begun: Run, tmp_path: Path, objective: dict[str, Any]
) -> None:
    wanted = further(begun, **objective)
    whole = fit(world, tmp_path / "whole", wanted, None, start=begun)
    for _ in range(3):
        torch.rand(7)  # whatever was drawn before must not matter
        fit(world, tmp_path / "pieces", wanted, None, start=begun, stop_after=1)
    pieces = fit(world, tmp_path / "pieces", wanted, None, start=begun)
    for name in ("weights.safetensors", "settings.json"):
        assert (whole.folder / name).read_bytes() == (pieces.folder / name).read_bytes()
    assert lines(whole.folder) == lines(pieces.folder)
    assert lines(whole.folder)[0]["loss"] != 0
    moved, before = (run.captioner("cpu").state_dict() for run in (whole, begun))
    assert any(not torch.equal(moved[name], before[name]) for name in moved)


def test_what_a_run_leaves_behind_names_the_one_before(
    world: World, begun: Run, tmp_path: Path
) -> None:
    run = fit(world, tmp_path / "further", further(begun), None, start=begun)
    card = (run.folder / CARD).read_text()
    assert "self-critically (reward: 1 CIDEr-D; baseline: mean)" in card
    assert re.search(r"beginning with the run `begun` \(weights `[0-9a-f]{12}`\)", card)
    for row in lines(run.folder):
        assert {"reward", "reward spread", "bad endings", "repeats", "distinct"} <= row.keys()
        assert 0 <= row["bad endings"] <= 1 and row["reward spread"] > 0
    assert "| reward spread |" in card and "| bad endings |" in card
    found = captioning.evaluate(run, DATA, "dev", world.regions, quiet=True)
    assert found.captioned == len(DEV)
    both = runs.join([run, begun])
    assert captioning.evaluate(both, DATA, "dev", world.regions, quiet=True).captioned == len(DEV)
    again = fit(world, run.folder, further(begun), None, start=begun)
    assert again.settings == run.settings
    changed = replace(begun, folder=tmp_path / "moved")
    changed.folder.mkdir()
    weights = (begun.folder / "weights.safetensors").read_bytes()
    (changed.folder / "weights.safetensors").write_bytes(weights + b" ")
    with pytest.raises(RunError, match=r"holds a run with start\.run = "):
        fit(world, run.folder, further(begun), None, start=changed)


@pytest.mark.slow
def test_a_reward_is_learned(world: World, begun: Run, tmp_path: Path) -> None:
    """On six pictures the mean reward of samples rises well above where it began."""
    wanted = further(begun)
    training = replace(
        wanted.training, epochs=60, learning_rate=0.01, evaluate_every=60, patience=0
    )
    run = fit(world, tmp_path / "r", replace(wanted, training=training), None, start=begun)
    before, after = (mean_reward(world, one) for one in (begun, run))
    assert after > before + 0.2


def mean_reward(world: World, run: Run) -> float:
    from miacap.captioning.inputs import Inputs
    from miacap.captioning.reward import Reward

    inputs = Inputs.of_run(run, world.regions)
    texts = {name: DATA.captions[name] for name in TRAIN}
    reward = Reward.of(run.vocabulary, texts, {}, inputs, SelfCritical(), 0)
    found = replace(reward, dev=TRAIN).on_dev(run.captioner("cpu"), run.settings.search, 20)
    return found["reward"]


@pytest.mark.slow
@pytest.mark.parametrize("name", captioners.names())
@pytest.mark.parametrize("objective", BASELINES, ids=["mean", "greedy", "beam", "dropout"])
def test_every_captioner_goes_on_so(
    world: World, tmp_path: Path, name: str, objective: dict[str, Any]
) -> None:
    more = {"layers": 1, "layer_heads": 2, "layer_inner": 8} if name == "transformer" else {}
    lists = world.read("long", LONG)
    first = fit(world, tmp_path / "first", settings(name, "combined", **more), lists)
    run = fit(world, tmp_path / "run", further(first, **objective), lists, start=first)
    before, after = (one.captioner("cpu").state_dict() for one in (first, run))
    moved = [key for key in before if not torch.equal(before[key], after[key])]
    assert len(moved) > len(before) / 2
    found = captioning.evaluate(run, DATA, "dev", world.regions, concepts=lists, quiet=True)
    assert found.captioned == len(DEV)


def test_unknown_words_never_count_as_equal(begun: Run) -> None:
    from miacap.captioning.words import reference_ids

    found = reference_ids(begun.vocabulary, {"a": ["a wolf", "The fox dog"], "b": ["wolf"]})
    size, words = len(begun.vocabulary), begun.vocabulary
    assert found == {
        "a": [[words.id("a"), size], [words.id("the"), size + 1, words.id("dog")]],
        "b": [[size]],
    }
