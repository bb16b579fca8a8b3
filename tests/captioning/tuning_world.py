"""Drawn scenes, a captioner that was trained on their features, and how its tuning begins."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from miacap import captioning, runs, visual
from miacap.captioning import tuning
from miacap.concepts import ConceptFolder
from miacap.data import Dataset, FeatureStore, read, scenes
from miacap.runs import CrossEntropy, Run, RunSettings
from miacap.training import fit

NAME = "efficientnet-lite0"
PLAIN = CrossEntropy()


@dataclass(frozen=True)
class SmallWorld:
    root: Path
    dataset: Dataset
    regions: FeatureStore
    start: Run


def trained(
    root: Path, dataset: Dataset, regions: FeatureStore, name: str, source: str = "plain",
    found: ConceptFolder | None = None, **sizes: Any,
) -> Run:  # fmt: skip
    run = RunSettings(
        captioner="spatial-attention", source=source, minimum_count=1, pictures_per_batch=6,
        maximum_words=8, beam=1, sizes={"width": 16, "heads": 2, "inner": 16, **sizes},
    )  # fmt: skip
    run = replace(run, training=replace(run.training, epochs=1, warmup_steps=1, device="cpu"))
    captioning.train(dataset, regions, root / name, run, concepts=found, quiet=True)
    return runs.load(root / name)


def drawn(root: Path) -> SmallWorld:
    """Draw scenes, one of which cannot be read, and train a captioner on their features."""
    scenes.draw(root / "scenes", 20, seed=3, size=32)
    (root / "scenes" / "scene-000002.png").write_bytes(b"no photo")
    dataset = read(root / "scenes")
    network = visual.load(NAME, "cpu")
    how = visual.preprocessing_for(network, size=64, precision="bfloat16", flips=True)
    grid = visual.Grid(network, how)
    regions = visual.extract(dataset, root / "features", regions=grid, quiet=True)
    return SmallWorld(root, dataset, regions, trained(root, dataset, regions, "plain"))


def settings(start: Run, **changes: Any) -> RunSettings:
    chosen = runs.tuned(start)
    more = replace(chosen.training, epochs=2, warmup_steps=1, device="cpu", checkpoint_every=0)
    assert chosen.tuning is not None
    return replace(chosen, training=more, tuning=replace(chosen.tuning, **{"stages": 2, **changes}))


class Stopped(Exception):
    pass


def begun(
    world: SmallWorld, folder: Path, monkeypatch: pytest.MonkeyPatch,
    chosen: RunSettings | None = None, **changes: Any,
) -> Any:  # fmt: skip
    """The task that would be trained."""
    held: list[Any] = []

    def instead(task: Any, *_: Any, **__: Any) -> Any:
        held.append(task)
        raise Stopped

    monkeypatch.setattr(tuning, "fit", instead)
    with pytest.raises(Stopped):
        wanted = chosen or settings(world.start, **changes)
        captioning.tune(world.dataset, folder, world.start, wanted, quiet=True)
    monkeypatch.setattr(tuning, "fit", fit)
    return held[0]
