"""The whole way with boxes of a detector: features, concepts, training, new photos elsewhere."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from miacap import captioning, concepts, runs, visual
from miacap.captioning.inputs import Inputs
from miacap.concepts import ConceptFolder
from miacap.data import Dataset, FeatureStore, read, scenes
from miacap.errors import RunError
from miacap.explain import show
from miacap.runs import RunSettings

BOXES = [[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 0.5], [0.0, 0.5, 0.5, 1.0], [0.4, 0.4, 1.0, 1.0]]
SCORES = [[0.9], [0.7], [0.6], [0.5]]


@dataclass(frozen=True)
class BoxedWorld:
    root: Path
    dataset: Dataset
    regions: FeatureStore

    def run(self, name: str) -> Path:
        return self.root / "runs" / name


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory, onnx_files: SimpleNamespace) -> BoxedWorld:
    """Scenes of different brightness have one to five boxes; two runs are trained on them."""
    root = tmp_path_factory.mktemp("boxed")
    scenes.draw(root / "scenes", 32, seed=3)
    dataset = read(root / "scenes")
    file = onnx_files.write(root, BOXES, SCORES, ["thing"])
    found = visual.regions_named(
        f"detector:{file}", "efficientnet-lite0", boxes="1-5", threshold=0.35, device="cpu"
    )
    regions = visual.extract(dataset, root / "features", regions=found, quiet=True)
    wanted = concepts.ConceptSettings()
    wanted = replace(wanted, training=replace(wanted.training, epochs=1, threads=1))
    concepts.train(regions, dataset, root / "concepts", wanted, quiet=True)
    world = BoxedWorld(root, dataset, regions)
    for name, captioner, source in (
        ("plain", "up-down", "plain"), ("combined", "spatial-attention", "combined"),
    ):  # fmt: skip
        run = RunSettings(
            captioner=captioner, source=source, minimum_count=1, pictures_per_batch=8,
            sizes={"width": 32, "heads": 4, "inner": 64},
        )  # fmt: skip
        run = replace(run, training=replace(run.training, epochs=1, warmup_steps=2, threads=1))
        trained = ConceptFolder.open(root / "concepts") if source == "combined" else None
        captioning.train(dataset, regions, world.run(name), run, concepts=trained, quiet=True)
    file.unlink()
    return world


def test_photos_have_different_numbers_of_boxes(boxed: BoxedWorld) -> None:
    counts = {boxed.regions.count(name) for name in boxed.regions.names}
    assert len(counts) > 1 and counts <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize("name", ["plain", "combined"])
def test_a_run_carries_its_detector_to_another_machine(
    boxed: BoxedWorld, tmp_path: Path, name: str
) -> None:
    """Batch for batch, boxes, masks and words of new photos are those of the stored ones."""
    shutil.copytree(boxed.run(name), tmp_path / "run")
    run = runs.load(tmp_path / "run")
    regions = visual.regions_for(run.preprocessing, "cpu", run.folder)
    ids = list(boxed.dataset.ids[:5])
    photos = [visual.decode(boxed.dataset.photos.read(id)) for id in ids]
    live = Inputs.of_photos(run, regions).live(ids, [regions.prepare(one) for one in photos])
    stored = Inputs.of_run(run, boxed.regions).stored(ids)
    assert not bool(stored.region_mask.all())  # the counts differ
    assert torch.equal(live.regions, stored.regions)
    assert torch.equal(live.region_mask, stored.region_mask)
    assert live.boxes is not None and torch.equal(live.boxes, stored.boxes)
    assert torch.equal(live.concepts, stored.concepts)
    if name == "combined":
        assert torch.equal(stored.concept_mask, stored.region_mask)  # as many as regions
    pipeline = captioning.Pipeline(tmp_path / "run", device="cpu")
    rows = list(pipeline.rows(photos, ids))
    assert [row.id for row in rows] == ids and all(row.caption is not None for row in rows)


def test_a_run_and_its_twin_are_an_ensemble(boxed: BoxedWorld) -> None:
    pipeline = captioning.Pipeline([boxed.run("plain"), boxed.run("combined")], device="cpu")
    photo = visual.decode(boxed.dataset.photos.read(boxed.dataset.ids[0]))
    assert isinstance(pipeline.caption(photo), str)


def test_a_run_without_its_detector_says_so_before_any_photo(
    boxed: BoxedWorld, tmp_path: Path
) -> None:
    shutil.copytree(boxed.run("plain"), tmp_path / "run")
    (tmp_path / "run" / "detector.onnx").unlink()
    with pytest.raises(
        RunError, match=r"run/detector\.onnx: there is no such file\. It is the det"
    ):
        captioning.Pipeline(tmp_path / "run")


def test_what_a_run_sees_in_boxes_is_shown(boxed: BoxedWorld, tmp_path: Path) -> None:
    photo = visual.decode(boxed.dataset.photos.read(boxed.dataset.ids[0]))
    shown = show(runs.load(boxed.run("combined")), photo, 2, tmp_path / "heat", "cpu")
    assert len(shown) == 2 and all(one.heat_map and one.heat_map.is_file() for one in shown)


def test_evaluation_reads_the_boxes_too(boxed: BoxedWorld) -> None:
    """Captions of the stored boxes are those of the photos."""
    run = runs.load(boxed.run("combined"))
    found = captioning.evaluate(
        run, boxed.dataset, "dev", boxed.regions, metrics=("BLEU-1",), controls=False, device="cpu",
        quiet=True,
    )  # fmt: skip
    ids = list(boxed.dataset.split("dev").ids)
    photos = [visual.decode(boxed.dataset.photos.read(id)) for id in ids]
    rows = captioning.Pipeline(boxed.run("combined"), device="cpu").rows(photos, ids)
    assert {row.id: row.caption for row in rows} == {row.id: row.caption for row in found.rows}
