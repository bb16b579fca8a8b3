"""The whole way with a backbone that was tuned: tune, features, train, new photos elsewhere."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from miacap import captioning, runs, visual
from miacap.captioning.inputs import Inputs
from miacap.cli.application import app
from miacap.concepts import ConceptFolder
from miacap.data import Dataset, FeatureStore, read, scenes
from miacap.errors import RunError
from miacap.files import sha256
from miacap.runs import RunSettings
from miacap.visual import lite


def go(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@dataclass(frozen=True)
class TunedWorld:
    root: Path
    dataset: Dataset
    regions: FeatureStore
    said: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TunedWorld:
    """Twenty scenes; tuned at 64 pixels and trained from the command line, features from Python."""
    root = tmp_path_factory.mktemp("world")
    scenes.draw(root / "scenes", 20, seed=3, size=64)
    said = go(
        "tune", root / "scenes", "--backbone", "efficientnet-lite0", "-o", root / "tuned", "-q",
        "--set", "size=64", "--set", "minimum_count=1", "--set", "hidden=0", "--set", "stages=1",
        "--set", "training.epochs=1", "--set", "batch_size=8", "--set", "folds=2", "--device", "cpu"
    )  # fmt: skip
    dataset = read(root / "scenes")
    regions = visual.extract(
        dataset, root / "features", backbone=f"tuned:{root / 'tuned'}", device="cpu", quiet=True
    )
    run = RunSettings(
        captioner="spatial-attention", source="combined", minimum_count=1, pictures_per_batch=8,
        sizes={"width": 16, "heads": 2, "inner": 32},
    )  # fmt: skip
    run = replace(run, training=replace(run.training, epochs=1, warmup_steps=1, device="cpu"))
    found = ConceptFolder.open(root / "tuned" / "concepts")
    captioning.train(dataset, regions, root / "run", run, concepts=found, quiet=True)
    return TunedWorld(root, dataset, regions, said)


def test_the_verb_says_what_came_and_what_leaks(world: TunedWorld) -> None:
    assert "efficientnet-lite0, tuned on 16 photos" in world.said
    assert "note: P@10 is" in world.said and "out of fold" in world.said


def test_a_run_carries_its_backbone_to_another_machine(
    world: TunedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No package of weights is there; rows and concepts of photos are those that were stored."""

    def gone(name: str) -> Path:
        raise lite.MissingWeights(name)

    monkeypatch.setattr(lite, "weights_path", gone)
    shutil.copytree(world.root / "run", tmp_path / "run")
    run = runs.load(tmp_path / "run")
    regions = visual.regions_for(run.preprocessing, "cpu", run.folder)
    ids = [entry.id for entry in world.dataset.split("dev")]
    photos = [visual.decode(world.dataset.photos.read(id)) for id in ids]
    live = Inputs.of_photos(run, regions).live(ids, [regions.prepare(one) for one in photos])
    found = ConceptFolder.open(world.root / "tuned" / "concepts")
    for folder in (None, found):
        stored = Inputs.of_run(run, world.regions, folder).stored(ids)
        assert torch.equal(live.regions, stored.regions)
        assert live.regions.shape[1:] == (4, 1280)
        assert torch.equal(live.concepts, stored.concepts)
    rows = list(captioning.Pipeline(tmp_path / "run", device="cpu").rows(photos, ids))
    assert all(row.caption is not None for row in rows)


def test_a_packed_run_carries_backbone_and_extractor_in_half_precision(
    world: TunedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are other files with sums of their own; rows are those of the rounded weights."""
    monkeypatch.setattr(lite, "weights_path", None)
    source, small = world.root / "run", tmp_path / "small"
    packed = runs.pack(source, small).run
    before = runs.load(source)
    for name in ("backbone.safetensors", "extractor.safetensors"):
        assert (small / name).stat().st_size < 0.53 * (source / name).stat().st_size, name
    assert packed.preprocessing == replace(
        before.preprocessing, weights_sha256=sha256(small / "backbone.safetensors")
    )
    tuning = visual.tuned.Tuning.of(small)
    assert tuning is not None and tuning.preprocessing == packed.preprocessing
    assert before.concepts is not None
    assert packed.concepts == replace(
        before.concepts, checksum=sha256(small / "extractor.safetensors")
    )
    regions = visual.regions_for(packed.preprocessing, "cpu", packed.folder)
    photo = visual.decode(world.dataset.photos.read(world.dataset.ids[0]))
    (rows, _), stored = regions.rows([photo])[0], world.regions.rows(world.dataset.ids[0])
    assert not torch.equal(rows.half(), stored)  # rounded, and
    assert torch.allclose(rows, stored.float(), atol=0.1), (rows - stored.float()).abs().max()
    ours, theirs = (
        captioning.captions_of(one, world.dataset, "dev", store, device="cpu", quiet=True)
        for one, store in ((before, world.regions), (packed, world.regions))
    )
    assert [row.id for row in theirs] == list(world.dataset.split("dev").ids)
    assert captioning.compare(ours, theirs).compared == len(ours)
    (small / "backbone.safetensors").write_bytes((source / "backbone.safetensors").read_bytes())
    with pytest.raises(RunError, match="not the weights that made these features"):
        captioning.Pipeline(small, device="cpu").caption(photo)


def test_a_run_without_its_backbone_says_so(world: TunedWorld, tmp_path: Path) -> None:
    shutil.copytree(world.root / "run", tmp_path / "run")
    (tmp_path / "run" / "backbone.safetensors").unlink()
    pipeline = captioning.Pipeline(tmp_path / "run", device="cpu")
    with pytest.raises(RunError, match=r"copy backbone\.safetensors of the run or store again"):
        pipeline.caption(visual.decode(world.dataset.photos.read(world.dataset.ids[0])))


def test_the_card_says_on_what_the_backbone_was_tuned(world: TunedWorld) -> None:
    card = (world.root / "run" / "README.md").read_text()
    assert "tuned on the captions of 16 training photos of `scenes`" in card


def test_training_says_that_the_backbone_knows_the_photos(
    world: TunedWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs.load(world.root / "run").settings
    plain = RunSettings(captioner="nic", source="plain", minimum_count=1, sizes={"width": 8})
    plain = replace(plain, training=replace(run.training, epochs=1))
    captioning.train(world.dataset, world.regions, tmp_path / "run", plain, stop_after=0)
    known = "note: the backbone of these features was tuned on the captions of 16 training photos"
    assert known in capsys.readouterr().err
    others = replace(world.dataset, sources=())
    captioning.train(others, world.regions, tmp_path / "other", plain, stop_after=0)
    assert "tuned on" not in capsys.readouterr().err


def test_boxes_are_pooled_from_a_tuned_map_anywhere(
    world: TunedWorld, tmp_path: Path, onnx_files: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of a detector's boxes carries the backbone that they were pooled from, too."""
    boxes = [[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 0.5]]
    file = onnx_files.write(tmp_path, boxes, [[0.9], [0.7]], ["thing"])
    found = visual.regions_named(
        f"detector:{file}", f"tuned:{world.root / 'tuned'}", boxes="3", device="cpu"
    )
    few = replace(world.dataset, pictures=world.dataset.pictures[:3])
    store = visual.extract(few, tmp_path / "features", regions=found, quiet=True)
    monkeypatch.setattr(lite, "weights_path", None)
    again = visual.regions_for(store.manifest.preprocessing, "cpu", store.folder)
    photo = visual.decode(few.photos.read(few.ids[0]))
    assert torch.equal(again.rows([photo])[0][0].half(), store.rows(few.ids[0]))


def test_a_folder_that_is_begun_again_forgets_another_backbone(
    world: TunedWorld, tmp_path: Path
) -> None:
    """A run that was laid halfway with tuned features keeps none of them for others."""
    frozen = visual.extract(
        world.dataset, tmp_path / "frozen", backbone="efficientnet-lite0", device="cpu", quiet=True
    )
    run = RunSettings(captioner="nic", source="plain", minimum_count=1, sizes={"width": 8})
    run = replace(run, training=replace(run.training, epochs=1, warmup_steps=0, device="cpu"))
    folder = tmp_path / "run"
    captioning.train(world.dataset, world.regions, folder, run, stop_after=0, quiet=True)
    assert (folder / "backbone.safetensors").is_file()
    (folder / "settings.json").unlink()
    shutil.rmtree(folder / "checkpoints")
    captioning.train(world.dataset, frozen, folder, run, stop_after=0, quiet=True)
    assert not (folder / "backbone.safetensors").exists()
    assert not (folder / "backbone.json").exists()
