"""What the tuning of a captioner is begun with: sizes of photos, concepts, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from miacap import captioning, concepts, runs, visual
from miacap.captioning import tuning_begun
from miacap.concepts import ConceptFolder, ListSettings
from miacap.errors import DataError, RunError, SettingsError
from miacap.runs import VectorFile

from .tuning_world import SmallWorld, begun, settings, trained


@pytest.fixture
def world(tuning_world: SmallWorld) -> SmallWorld:
    return tuning_world


def test_photos_have_another_size(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training photos, dev photos, and the features of the run that comes out, which the next
    tuning begins with."""
    sizes = settings(world.start, size=(64, 96), crop_size=48)
    task = begun(world, tmp_path / "begun", monkeypatch, sizes)
    batch = next(iter(task.batches(0, 0)))
    assert batch.pictures.pixels.shape[1:] == (3, 48, 48)
    sizes = replace(sizes, training=replace(sizes.training, epochs=1))
    captioning.tune(world.dataset, tmp_path / "run", world.start, sizes, quiet=True)
    run = runs.load(tmp_path / "run")
    assert run.preprocessing.size == (64, 96) != world.start.preprocessing.size
    store = visual.extract(
        world.dataset, tmp_path / "features", backbone=f"tuned:{run.folder}", device="cpu",
        quiet=True,
    )  # fmt: skip
    assert store.count(world.dataset.split("dev").pictures[0].id) == 2 * 3
    said = json.loads((run.folder / "dev.json").read_text())
    evaluation = captioning.evaluate(run, world.dataset, "dev", store, quiet=True)
    found = evaluation.scores["CIDEr-D"]
    assert said["scores"]["CIDEr-D"] == pytest.approx(float(found), abs=1e-6)
    assert runs.tuned(run).tuning is not None
    task = begun(replace(world, start=run), tmp_path / "next", monkeypatch, settings(run))
    batch = next(iter(task.batches(0, 0)))
    assert batch.pictures.pixels.shape[1:] == (3, 64, 96)


def test_what_does_not_go_together_is_refused(
    world: SmallWorld, finished: Path, tmp_path: Path
) -> None:
    start = world.start
    for changed, said in (
        (replace(settings(start), tuning=None), "settings of `tuning`"),
        (replace(settings(start), minimum_count=2), "minimum_count"),
        (replace(settings(start), region_width=640), "region_width cannot be 640: .* 1280 numbers"),
        (replace(settings(start), word_vectors=VectorFile("x", "0" * 64, 1)), "leave word_vectors"),
    ):
        with pytest.raises(SettingsError, match=said):
            captioning.tune(world.dataset, tmp_path / "run", start, changed, quiet=True)
    with pytest.raises(SettingsError, match=r"captioning\.tune"):
        captioning.train(world.dataset, world.regions, tmp_path / "run", settings(start))
    with pytest.raises(RunError, match=r"tuned: begun with tuning\.crops = 0\.2, not 0\.1; choose"):
        captioning.tune(world.dataset, finished, start, settings(start, crops=0.1), quiet=True)
    fewer = replace(world.dataset, pictures=world.dataset.pictures[:-1])
    with pytest.raises(RunError, match="begun with other captions or concepts; choose"):
        captioning.tune(fewer, finished, start, settings(start), quiet=True)
    told = json.loads((finished / "tuning" / "begun.json").read_text())
    begun_with = told["settings"]["start"]
    again = replace(settings(start), start=runs.Start(begun_with["run"], "ab" * 32))
    with pytest.raises(RunError, match=r"begun with another run \(plain, or other weights of it\)"):
        tuning_begun.begin_with(finished / "tuning" / "begun.json", again, world.dataset, None)
    pooled = replace(start, preprocessing=replace(start.preprocessing, grid=1))
    with pytest.raises(RunError, match="cannot be tuned here"):
        captioning.tune(world.dataset, tmp_path / "run", pooled, settings(start), quiet=True)
    other = replace(start, preprocessing=replace(start.preprocessing, weights_sha256="ab" * 32))
    with pytest.raises(RunError, match="weights of efficientnet-lite0 are others"):
        captioning.tune(world.dataset, tmp_path / "run", other, settings(start), quiet=True)
    assert not (tmp_path / "run").exists()


def test_concepts_are_lists_and_no_extractors(world: SmallWorld, tmp_path: Path) -> None:
    lists = {entry.id: ["the", "a", "and", "in"] for entry in world.dataset}
    (tmp_path / "lists.json").write_text(json.dumps(lists))
    concepts.read(tmp_path / "lists.json", world.dataset, tmp_path / "lists",
                  ListSettings(minimum_count=1), quiet=True)  # fmt: skip
    found = ConceptFolder.open(tmp_path / "lists")
    start = trained(tmp_path, world.dataset, world.regions, "listed", "combined", found)
    with pytest.raises(DataError, match=r"reads concepts; give them with --concepts FOLDER\.$"):
        captioning.tune(world.dataset, tmp_path / "run", start, settings(start), quiet=True)
    captioning.tune(
        world.dataset, tmp_path / "run", start, settings(start), concepts=found, quiet=True
    )
    assert runs.load(tmp_path / "run").concepts == start.concepts
    with pytest.raises(SettingsError, match="as many concepts as regions"):
        smaller = settings(start, crop_size=48)
        captioning.tune(world.dataset, tmp_path / "x", start, smaller, concepts=found, quiet=True)
    assert start.concepts is not None
    extracted = replace(start, concepts=replace(start.concepts, kind="extractor"))
    with pytest.raises(RunError, match="an extractor finds in its features"):
        captioning.tune(world.dataset, tmp_path / "x", extracted, settings(start), quiet=True)
