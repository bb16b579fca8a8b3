"""A small world, walked once: scenes, features, concepts, two trained runs."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from miacap import captioning, concepts, visual
from miacap.concepts import ConceptFolder
from miacap.data import Dataset, FeatureStore, read, scenes
from miacap.runs import RunSettings

from . import tuning_world as tuning


@dataclass(frozen=True)
class World:
    """Where everything lies, and what was read."""

    root: Path
    dataset: Dataset
    regions: FeatureStore

    def run(self, name: str) -> Path:
        return self.root / "runs" / name


def settings(captioner: str, source: str) -> RunSettings:
    """Settings of a training of seconds."""
    run = RunSettings(
        captioner=captioner,
        source=source,
        sizes={"width": 32, "heads": 4, "inner": 64},
        minimum_count=1,
        pictures_per_batch=8,
    )
    return replace(run, training=replace(run.training, epochs=2, warmup_steps=2, threads=1))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    scenes.draw(root / "scenes", 64, seed=3)
    dataset = read(root / "scenes")
    regions = visual.extract(dataset, root / "features", backbone="efficientnet-lite0", quiet=True)
    wanted = concepts.ConceptSettings(
        training=replace(concepts.ConceptSettings().training, epochs=2, threads=1)
    )
    concepts.train(regions, dataset, root / "concepts", wanted, quiet=True)
    found = World(root, dataset, regions)
    trained = ConceptFolder.open(root / "concepts")
    for name, captioner, source in (
        ("plain", "nic", "plain"),
        ("combined", "spatial-attention", "combined"),
    ):
        captioning.train(
            dataset,
            regions,
            found.run(name),
            settings(captioner, source),
            concepts=trained if source == "combined" else None,
            quiet=True,
        )
    return found


@pytest.fixture(scope="session")
def tuning_world(tmp_path_factory: pytest.TempPathFactory) -> tuning.SmallWorld:
    return tuning.drawn(tmp_path_factory.mktemp("tuning"))


@pytest.fixture(scope="session")
def finished(tuning_world: tuning.SmallWorld) -> Path:
    """A run that was tuned with its network."""
    folder, start = tuning_world.root / "tuned", tuning_world.start
    captioning.tune(tuning_world.dataset, folder, start, tuning.settings(start), quiet=True)
    return folder
