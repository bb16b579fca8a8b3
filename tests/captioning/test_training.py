"""What `train` hands to the training loop, and what it leaves in the run folder."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from miacap import captioning, runs
from miacap.captioning import training as module
from miacap.captioning.cross_entropy import CrossEntropyTask
from miacap.captioning.outcome import FILE
from miacap.concepts import ConceptFolder
from miacap.data import Dataset
from miacap.data.batches import Batch
from miacap.errors import RunError
from miacap.runs import CARD, CrossEntropy, RunSettings
from miacap.runs.folder import build
from miacap.text import EOS, PAD
from miacap.training import FitResult

from .small import DATA, LONG, NOUNS, WIDTH, World, fit, make, settings, trained

TRAIN, DEV = (DATA.split(name).ids for name in ("train", "dev"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("training"))


class Reached(Exception):
    """The training loop was reached; nothing is trained."""

    def __init__(self, task: CrossEntropyTask) -> None:
        self.task = task


@pytest.fixture
def task_of(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Gives the task that a training would have."""

    def loop(task: CrossEntropyTask, *_: object, **__: object) -> FitResult:
        raise Reached(task)

    monkeypatch.setattr(module, "fit", loop)
    made: list[CrossEntropyTask] = []

    def task(run: RunSettings, lists: ConceptFolder | None = None, **more: Any) -> CrossEntropyTask:
        with pytest.raises(Reached) as reached:
            fit(world, tmp_path / f"r{len(made)}", run, lists, **more)
        made.append(reached.value.task)
        return made[-1]

    return task


def seeded(run: RunSettings, seed: int) -> RunSettings:
    return replace(run, training=replace(run.training, seed=seed))


def said(run: runs.Run, batch: Batch) -> dict[str, list[str]]:
    """The captions that a batch teaches, by picture."""
    return {
        name: [
            " ".join(run.vocabulary.decode([word for word in row if word not in (PAD, EOS)]))
            for row in group
            if any(word != PAD for word in row)
        ]
        for name, group in zip(batch.pictures.names, batch.targets.tolist(), strict=True)
    }


def test_the_first_weights_and_the_order_follow_the_seed(task_of) -> None:
    run = settings("nic", "plain")
    tasks = []
    for before, seed in enumerate((7, 7, 8)):
        torch.manual_seed(before)  # whatever was drawn until now
        tasks.append(task_of(seeded(run, seed)))
    one, again, other = [task.module.state_dict() for task in tasks]
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    torch.manual_seed(8)
    words = len(tasks[2].evaluation.run.vocabulary)
    fresh = build(replace(run, region_width=WIDTH), words).state_dict()
    assert all(torch.equal(fresh[name], other[name]) for name in fresh)

    def order(task: CrossEntropyTask, epoch: int, skip: int = 0) -> list[tuple[str, ...]]:
        return [batch.pictures.names for batch in task.batches(epoch, skip)]

    orders = [[order(task, epoch) for epoch in range(4)] for task in tasks]
    assert orders[0] == orders[1] != orders[2]
    assert len({str(epoch) for epoch in orders[0]}) > 1  # every epoch another one
    assert order(tasks[0], 1, skip=1) == orders[0][1][1:]


def test_the_train_split_is_learned_from_and_the_dev_split_is_watched(task_of) -> None:
    """Words, captions and pictures of other splits teach nothing."""
    pictures = (*DATA.pictures[:-1], replace(DATA.pictures[-1], captions=("an owl",)))
    dataset = replace(DATA, pictures=pictures)
    rare = replace(dataset.pictures[6], captions=("a zebra", "the dog"))
    dataset = replace(dataset, pictures=(*pictures[:6], rare, *pictures[7:]))
    task = task_of(settings("nic", "plain"), dataset=dataset)
    run, captions = task.evaluation.run, dataset.captions
    assert set(run.vocabulary.words).isdisjoint({"zebra", "owl", "an"})
    assert set(run.vocabulary.words) >= {*NOUNS, "a", "and", "the"}
    taught: dict[str, list[str]] = {}
    for batch in task.batches(0, 0):
        taught |= said(run, batch)
    assert taught == {name: list(captions[name]) for name in TRAIN}
    assert dict(task.evaluation.references) == {name: captions[name] for name in DEV}
    assert task.watched == "CIDEr-D"
    fewer = task_of(replace(settings("nic", "plain"), minimum_count=4), dataset=dataset)
    counts = {word: " ".join(" ".join(captions[n]) for n in TRAIN).split().count(word)
              for word in run.vocabulary.words}  # fmt: skip
    kept = {word for word, count in counts.items() if count >= 4}
    assert kept == {word for word in fewer.evaluation.run.vocabulary.words if word in counts}
    assert len(kept) < len(counts)


def test_settings_reach_the_batches_and_the_loss(world: World, task_of) -> None:
    wanted = replace(
        settings("att-fcn", "combined"),
        maximum_words=3,
        pictures_per_batch=5,
        objective=CrossEntropy(label_smoothing=0.2, regulariser=0.5),
        region_width=99,
    )
    task = task_of(wanted, world.read("long", LONG))
    batches = list(task.batches(0, 0))
    assert [len(batch.pictures) for batch in batches] == [5, 1]
    assert {batch.words.shape[2] for batch in batches} == {3}  # "a dog and", cut, without an end
    assert task.objective == wanted.objective and task.regulariser is not None
    assert task.evaluation.run.settings == replace(wanted, region_width=WIDTH)


def test_anothers_concepts_reach_training_and_dev(world: World, task_of) -> None:
    partners: Mapping[str, str] = dict(zip(DATA.ids, (*DATA.ids[1:], DATA.ids[0]), strict=True))
    task = task_of(settings(), world.read("long", LONG), concepts_of=partners)
    run = task.evaluation.run
    seen = [batch.pictures for batch in task.batches(0, 0)]
    seen.append(task.evaluation.inputs.stored(DEV))
    for pictures in seen:
        for name, row in zip(pictures.names, pictures.concepts.tolist(), strict=True):
            assert run.vocabulary.decode(row) == LONG[partners[name]][: len(row)]


def result(folder: Path, cider: tuple[float, ...], best: int) -> FitResult:
    history = tuple(
        {"epoch": epoch, "BLEU-4": value / 2, "ROUGE-L": value / 3, "CIDEr-D": value,
         "distinct": float(epoch), "loss per word": 1.0 / epoch, "seconds": 1.0}
        for epoch, value in enumerate(cider, 1)
    )  # fmt: skip
    return FitResult(True, "epochs", cider[best - 1], best, len(cider), 6, 1.0, history, folder)


def test_the_card_and_dev_json_have_the_best_epoch_in_the_middle(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = result(tmp_path, (0.25, 0.75, 0.5), best=2)
    assert captioning.best_scores(found) == {
        "BLEU-4": 0.375, "ROUGE-L": 0.25, "CIDEr-D": 0.75, "distinct": 2.0, "loss per word": 0.5,
    }  # fmt: skip
    monkeypatch.setattr(module, "fit", lambda *_, **__: found)
    run = fit(world, tmp_path / "r", settings("nic", "plain"), None)
    told = json.loads((run.folder / FILE).read_text())
    assert told["best_epoch"] == 2 and told["scores"] == captioning.best_scores(found)
    assert told["training_pictures"] == 6 and told["training_captions"] == 12
    card = (run.folder / CARD).read_text()
    assert "Reached after epoch 2, chosen by CIDEr-D" in card
    for line in ("| CIDEr-D | 0.7500 |", "| BLEU-4 | 0.3750 |", "| distinct | 2 |"):
        assert line in card


def test_a_stopped_training_has_neither_card_nor_outcome(world: World, tmp_path: Path) -> None:
    wanted = settings("nic", "plain")
    wanted = replace(wanted, training=replace(wanted.training, epochs=3))
    run = fit(world, tmp_path / "r", wanted, None, stop_after=3)
    names = {path.name for path in run.folder.iterdir()}
    assert "metrics.jsonl" in names and names.isdisjoint({CARD, FILE})
    fit(world, run.folder, wanted, None)
    assert (run.folder / CARD).is_file() and (run.folder / FILE).is_file()


def test_what_an_unfinished_start_left_never_stays_in_a_run(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the settings were written, then begun with other concepts, lists or none."""
    first, other = (trained(tmp_path / f"c{seed}", world.regions, seed) for seed in (0, 1))
    real = runs.folder.write_json

    def deadly(path: Path, value: object) -> None:
        if path.name == "settings.json":
            raise KeyboardInterrupt
        real(path, value)

    starts = {"other": (settings(), other), "lists": (settings(), world.read("long", LONG)),
              "none": (settings("nic", "plain"), None)}  # fmt: skip
    for name, (wanted, concepts) in starts.items():
        folder = tmp_path / name
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(runs.folder, "write_json", deadly)
            fit(world, folder, settings(), first)
        assert (folder / "extractor.safetensors").is_file()
        run = fit(world, folder, wanted, concepts, stop_after=0)
        assert (folder / "extractor.safetensors").is_file() == (name == "other")
        assert run.concepts == (None if concepts is None else concepts.source)
        assert (run.extractor() is None) if name == "none" else True


def test_an_extractor_that_was_lost_is_copied_again(world: World, tmp_path: Path) -> None:
    concepts = trained(tmp_path / "c", world.regions)
    run = fit(world, tmp_path / "r", settings(), concepts, stop_after=0)
    (run.folder / "extractor.safetensors").unlink()
    fit(world, run.folder, settings(), concepts, stop_after=0)
    assert run.extractor() is not None


def test_a_picture_without_captions_teaches_nothing(world: World, task_of) -> None:
    silent = replace(DATA.pictures[0], captions=())
    dataset: Dataset = replace(DATA, pictures=(silent, *DATA.pictures[1:]))
    task = task_of(settings("nic", "plain"), dataset=dataset)
    names = [name for batch in task.batches(0, 0) for name in batch.pictures.names]
    assert sorted(names) == sorted(TRAIN[1:])


@pytest.mark.parametrize("moment", ["_lay", "fit", "finish"])
def test_a_second_training_in_one_folder_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    inner, refused = getattr(module, moment), []

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        if not refused:
            refused.append(True)
            with pytest.raises(RunError, match=r"another miacap .process \d+. is at work in this"):
                fit(
                    world,
                    tmp_path / "run",
                    replace(settings(source="plain"), minimum_count=2),
                    None,
                )
        return inner(*arguments, **named)

    monkeypatch.setattr(module, moment, meanwhile)
    fit(world, tmp_path / "run", settings(source="plain"), None)
    assert refused == [True]
    assert runs.load(tmp_path / "run").settings.minimum_count == 1
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_folder_of_others_gets_no_lock(world: World, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    before = tmp_path.stat().st_mtime_ns
    with pytest.raises(RunError, match=r"holds 'diary\.txt' and is no run of miacap"):
        fit(world, tmp_path, settings(source="plain"), None)
    assert tmp_path.stat().st_mtime_ns == before
