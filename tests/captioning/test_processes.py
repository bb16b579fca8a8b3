"""Two processes train a captioner as one does: cross-entropy, self-critical, exact resume."""

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from miacap import captioning, runs, visual
from miacap.captioning import evaluation
from miacap.captioning.candidates import Candidate, Word
from miacap.captioning.inputs import Inputs
from miacap.captioning.pipeline import Pipeline
from miacap.captioning.rows import Row
from miacap.captioning.self_critical import SelfCriticalTask
from miacap.data import read, scenes
from miacap.errors import RunError
from miacap.runs import CrossEntropy, Run, RunSettings, SelfCritical
from miacap.runs.confidence import Confidence
from miacap.settings import to_json
from miacap.text import EOS, PAD
from miacap.training.processes import join
from miacap.weights import read_tensors

from .small import DATA, World, fit, make, settings


def _launched() -> Any:
    path = Path(__file__).parents[1] / "training" / "launched.py"
    spec = importlib.util.spec_from_file_location("launched", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules.setdefault("launched", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


together: Callable[..., list[Any]] = _launched().together

# 6 pictures in batches of 4, 2: of three processes, one has no part of the second.
OBJECTIVES: dict[str, tuple[Any, dict[str, Any]]] = {
    "cross-entropy": (CrossEntropy(label_smoothing=0.1), {}),
    "accumulated": (CrossEntropy(), {"accumulate": 2}),
    "self-critical beam": (SelfCritical(baseline="beam", samples=3), {"average": "exponential"}),
    "self-critical mean": (SelfCritical(samples=3), {"clip_norm": 0.01}),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("processes"))


@pytest.fixture(scope="module")
def begun(world: World) -> Run:
    return fit(world, world.root / "begun", settings("up-down", "plain", dropout=0.0), None)


def chosen(begun: Run, objective: Any, **more: Any) -> RunSettings:
    run = replace(runs.continued(begun), objective=objective)
    training = replace(
        run.training, epochs=2, optimiser="sgd", learning_rate=0.5, threads=1, **more
    )
    return replace(run, training=training)


def said_by_name(self: SelfCriticalTask, pictures: Any) -> Tensor:
    """Stand in for samples: three captions that depend on the picture alone."""
    words = torch.full((len(pictures.names), 3, 5), PAD)
    for row, name in zip(words, pictures.names, strict=True):
        chance = np.random.default_rng(int(name[1:]))
        for caption in row:
            length = int(chance.integers(1, 5))
            caption[:length] = torch.from_numpy(chance.integers(4, 10, length))
            caption[length] = EOS
    return words


@pytest.mark.parametrize(("name", "world_size"), [(n, 2 + i % 2) for i, n in enumerate(OBJECTIVES)])
def test_weights_are_those_of_one_process(
    world: World,
    begun: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    world_size: int,
) -> None:
    objective, more = OBJECTIVES[name]
    if name == "self-critical mean":
        monkeypatch.setattr(SelfCriticalTask, "_hypotheses", said_by_name)
    run = chosen(begun, objective, **more)

    def train(folder: Path) -> Any:
        result = captioning.train(DATA, world.regions, folder, run, start=begun, quiet=True)
        return [dict(line) for line in result.history]

    several = together(lambda rank: train(tmp_path / "several"), tmp_path / "logs", world_size)
    assert all(history == several[0] for history in several)
    # In a child, too: a process whose threads have run is not forked again.
    [alone] = together(lambda rank: train(tmp_path / "alone"), tmp_path / "log", 1)
    for one, wanted in zip(several[0], alone, strict=True):
        # Advantages cancel: a self-critical loss is a small difference of numbers around 1.
        assert one["loss"] == pytest.approx(wanted["loss"], rel=1e-5, abs=1e-6)
        for part in (part for part in wanted if part.startswith("train ")):
            assert one[part] == pytest.approx(wanted[part], rel=1e-5, abs=1e-6)
    first, second = (
        read_tensors(tmp_path / run / "weights.safetensors") for run in ("alone", "several")
    )
    before = read_tensors(begun.folder / "weights.safetensors")
    assert any(not torch.equal(before[key], first[key]) for key in first)
    for key, value in first.items():
        assert (second[key] - value).abs().max() <= 1e-5 * value.abs().max(), key
    files = {path.name for path in (tmp_path / "several").iterdir()}
    assert files == {path.name for path in (tmp_path / "alone").iterdir()}


def test_an_evaluation_is_shared_out(
    world: World, begun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "_PICTURES_PER_SEARCH", 2)
    looked: list[str] = []
    real = Inputs.stored

    def stored(self: Inputs, names: Any) -> Any:
        looked.extend(names)
        return real(self, names)

    monkeypatch.setattr(Inputs, "stored", stored)

    def work(rank: int) -> Any:
        sharing = join("cpu")
        found = captioning.evaluate(
            begun, DATA, "train", world.regions, quiet=True, sharing=sharing
        )
        scores = None if found.scores is None else dict(found.scores.items())
        return [[to_json(row) for row in found.rows], scores, looked]

    first, second, third = together(work, tmp_path / "several", 3)
    [alone] = together(work, tmp_path / "alone", 1)
    assert first[:2] == alone[:2] and len(alone[0]) == 6
    assert [first[2], second[2], third[2]] == [["p0", "p1"], ["p2", "p3"], ["p4", "p5"]]
    assert second[:2] == third[:2] == [[], None]


def test_rows_of_photos_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        Row(f"{number}", "a dog", -1.5, None, None, -0.5, best, sure)
        for number, best, sure in (
            (0, (Candidate("a dog", -1.5, -0.5, (Word("a", -1.0), Word("", -0.5))),), None),
            (1, (), Confidence(0.25, unsure=False, out_of_depth=True)),
            *((number, (), None) for number in range(2, 10)),
        )
    ]
    rows[5] = Row("5", error="5: broken")
    monkeypatch.setattr(
        Pipeline, "_rows", lambda self, items, best: (rows[int(name)] for name, _ in items)
    )
    pipeline = Pipeline.__new__(Pipeline)
    pipeline.batch_size, pipeline.best = 3, 0

    def work(rank: int) -> Any:
        photos = (bytes([number]) for number in range(10))
        found = list(pipeline.rows(photos, sharing=join("cpu")))
        assert found == (rows if rank == 0 else [])
        return len(found)

    assert together(work, tmp_path) == [10, 0]
    assert together(work, tmp_path, 5) == [10, 0, 0, 0, 0]  # more processes than batches


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    [
        CrossEntropy(sampling_most=0.5, sampling_increase=0.5, sampling_every=1),
        SelfCritical(),
        SelfCritical(baseline="greedy", samples=2, dropout=True),
    ],
)
def test_stopped_and_resumed_with_chance(world: World, tmp_path: Path, objective: Any) -> None:
    first = fit(world, tmp_path / "first", settings("up-down", "plain", dropout=0.3), None)
    run = chosen(first, objective, average="exponential")
    run = replace(run, training=replace(run.training, epochs=4))

    def train(folder: Path, stop_after: int | None) -> Any:
        arguments = {"start": first, "quiet": True, "stop_after": stop_after}
        while not captioning.train(DATA, world.regions, folder, run, **arguments).finished:
            pass

    together(lambda rank: train(tmp_path / "whole" / "run", None), tmp_path / "logs")
    together(lambda rank: train(tmp_path / "parts" / "run", 3), tmp_path / "logs")
    for name in ("weights.safetensors", "dev.json"):
        kept = [(tmp_path / folder / "run" / name).read_bytes() for folder in ("whole", "parts")]
        assert kept[0] == kept[1], name
    with pytest.raises(RunError, match="begun with 2 processes, now 1"):
        longer = replace(run, training=replace(run.training, epochs=5, patience=0))
        captioning.train(
            DATA, world.regions, tmp_path / "whole" / "run", longer, start=first, quiet=True
        )
    assert (
        json.loads((tmp_path / "whole" / "run" / "settings.json").read_text())["start"] is not None
    )


@pytest.mark.slow
@pytest.mark.parametrize("objective", [CrossEntropy(), SelfCritical(baseline="beam", samples=2)])
def test_a_backbone_learns_in_two_processes_as_in_one(tmp_path: Path, objective: Any) -> None:
    def prepare(rank: int) -> None:
        scenes.draw(tmp_path / "scenes", 14, seed=3, size=32)
        (tmp_path / "scenes" / "scene-000002.png").write_bytes(b"no photo")
        dataset, network = read(tmp_path / "scenes"), visual.load("efficientnet-lite0", "cpu")
        grid = visual.Grid(network, visual.preprocessing_for(network, size=64))
        store = visual.extract(dataset, tmp_path / "features", regions=grid, quiet=True)
        run = settings("spatial-attention", "plain", dropout=0.0)
        captioning.train(dataset, store, tmp_path / "begun", run, quiet=True)

    together(prepare, tmp_path / "logs", 1)
    start = runs.load(tmp_path / "begun")
    run = replace(runs.tuned(start), objective=objective, pictures_per_batch=5)
    training = replace(run.training, epochs=2, optimiser="sgd", learning_rate=0.01, device="cpu")
    run = replace(run, training=replace(training, threads=1))

    def work(name: str) -> Any:
        result = captioning.tune(read(tmp_path / "scenes"), tmp_path / name, start, run, quiet=True)
        return [line["loss"] for line in result.history]

    several = together(lambda rank: work("several"), tmp_path / "logs")
    [alone] = together(lambda rank: work("alone"), tmp_path / "logs", 1)
    assert several[0] == several[1] == pytest.approx(alone, rel=1e-4, abs=1e-5)
    for name in ("weights.safetensors", "backbone.safetensors"):
        one, two = (read_tensors(tmp_path / folder / name) for folder in ("alone", "several"))
        for key, value in one.items():
            distance = (two[key].double() - value.double()).abs().max()
            assert distance <= 1e-5 * value.double().abs().max() + 1e-7, key
