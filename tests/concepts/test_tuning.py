"""A backbone tuned on drawn scenes: what it learns from, folds, exact resume, what it leaves."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from miacap import concepts, visual
from miacap.concepts import ConceptFolder, Extractor, TuneSettings
from miacap.concepts.tuning import making
from miacap.concepts.tuning.making import tune
from miacap.concepts.tuning.task import TunedExtractor, TuningTask, probabilities
from miacap.data import Dataset, read, scenes
from miacap.errors import DataError, RunError, SettingsError, UnknownName
from miacap.files import sha256
from miacap.text import tokenize
from miacap.training import fit
from miacap.visual import tuned
from miacap.visual.photo_batches import PhotoBatches, look
from miacap.weights import read_tensors, write_tensors

NAME = "efficientnet-lite0"


def settings(**changes: Any) -> TuneSettings:
    chosen = replace(
        TuneSettings(), size=32, minimum_count=1, hidden=8, batch_size=6, stages=2, folds=2
    )
    more = replace(chosen.training, epochs=2, warmup_steps=1, device="cpu", checkpoint_every=0)
    return replace(chosen, training=more, **changes)


@dataclass
class Seen:
    """What each network that was fitted was given, and the networks."""

    names: list[tuple[str, ...]]
    targets: list[Tensor]
    modules: list[TunedExtractor]
    photos: list[Any]


@dataclass(frozen=True)
class TunedWorld:
    root: Path
    dataset: Dataset
    seen: Seen
    report: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.root / "tuned"


def spied(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen = Seen([], [], [], [])

    class Spy(TuningTask):
        def __init__(self, module: Any, photos: Any, targets: Any, dev: Any, **more: Any) -> None:
            super().__init__(module, photos, targets, dev, **more)
            seen.names.append(photos.names)
            seen.photos.append(photos)
            seen.targets.append(targets)
            seen.modules.append(module)

        def evaluate(self) -> Mapping[str, float]:
            numbers = super().evaluate()
            assert list(numbers) == list(self.numbers)
            return numbers

    monkeypatch.setattr(making, "TuningTask", Spy)
    return seen


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TunedWorld:
    root = tmp_path_factory.mktemp("tuned")
    scenes.draw(root / "scenes", 20, seed=3, size=32)
    (root / "scenes" / "scene-000002.png").write_bytes(b"no photo")
    dataset = read(root / "scenes")
    with pytest.MonkeyPatch.context() as patched:
        seen = spied(patched)
        report = tune(dataset, root / "tuned", settings(), backbone=NAME, quiet=True)
    return TunedWorld(root, dataset, seen, report)


def split(world: TunedWorld, name: str) -> list[str]:
    return [entry.id for entry in world.dataset.split(name) if entry.id != "scene-000002.png"]


def test_it_learns_from_training_photos_alone(world: TunedWorld) -> None:
    """The whole network from all that can be read, each fold's from all but its own; once more
    where it scores its fold."""
    whole, *folds = world.seen.names
    assert list(whole) == split(world, "train") and len(whole) == 15
    assert len(folds) == 4 and folds[:2] == folds[2:]
    left_out = [set(whole) - set(names) for names in folds[:2]]
    assert left_out[0] | left_out[1] == set(whole) and not left_out[0] & left_out[1]
    assert all(left_out)
    words = ConceptFolder.open(world.folder / "concepts").source.words
    captions = world.dataset.captions
    for name, targets in zip(whole, world.seen.targets[0], strict=True):
        said = {word for text in captions[name] for word in tokenize(text)}
        assert {words[i] for i in targets.nonzero().flatten()} == said & set(words)


def test_concepts_of_a_training_picture_come_from_a_network_that_never_saw_it(
    world: TunedWorld,
) -> None:
    store = ConceptFolder.open(world.folder / "concepts").store
    data, modules = world.seen, world.seen.modules
    assert sorted(store.names) == sorted(set(world.dataset.ids) - {"scene-000002.png"})
    for name in store.names:
        module = modules[0]
        if name in data.names[0]:
            module = next(m for m, n in zip(modules[3:], data.names[3:], strict=True)
                          if name not in n)  # fmt: skip
        assert torch.allclose(store.rows(name), scored(world, module, [name])[0], atol=1e-6), name
    # The networks differ, so that the right one was taken.
    one = [name for name in data.names[0] if name not in data.names[3]][:1]
    assert not torch.allclose(store.rows(one[0]), scored(world, modules[0], one)[0], atol=1e-4)


def scored(world: TunedWorld, module: TunedExtractor, names: Sequence[str]) -> Tensor:
    told = tuned.Tuning.of(world.folder)
    assert told is not None
    prepared = told.preprocessing
    sums = look(world.dataset.photos, names, prepared, quiet=True).sums
    return probabilities(module, PhotoBatches(world.dataset.photos, sums, prepared))


def test_the_folder_holds_the_backbone_and_what_it_is(world: TunedWorld) -> None:
    told = json.loads((world.folder / "backbone.json").read_text())
    file = world.folder / "backbone.safetensors"
    assert told["preprocessing"]["weights_sha256"] == sha256(file)
    assert told["preprocessing"]["backbone"] == NAME and told["preprocessing"]["size"] == 32
    assert told["began_with"] == sha256(visual.backbones.weights_path(NAME))
    assert (told["pictures"], told["words"]) == (15, world.report["words"])
    assert told["sources"][0]["sha256"] == sha256(world.root / "scenes" / "metadata.jsonl")
    tensors = read_tensors(file)
    trained = world.seen.modules[0].backbone.network.state_dict()
    assert all(torch.equal(tensors[name], trained[name]) for name in trained)
    before = visual.efficientnet_lite.build(
        NAME, visual.libraries.read_file(visual.backbones.weights_path(NAME)), "x"
    ).state_dict()
    changed = {n.split(".")[0] for n in tensors if not torch.equal(tensors[n], before[n])}
    assert changed == {"blocks", "head"}


def test_the_report_says_what_leaks(world: TunedWorld) -> None:
    report = world.report
    assert list(report["splits"]) == ["train, seen", "train", "dev", "test"]
    assert report["splits"]["train, seen"]["pictures"] == 15
    assert report["photos set aside"] == 1 and len(report["history"]) == 2
    text = concepts.tuning_table(report)
    assert "tuned on 15 photos" in text and "train, out of fold" in text
    p = [report["splits"][name]["scores"]["P@10"] for name in ("train, seen", "train", "dev")]
    assert concepts.tuning_leak(report) == (
        f"P@10 is {p[0]:.3f} on training photos that the network saw and {p[1]:.3f} out of fold, "
        f"and {p[2]:.3f} on dev: its features of training photos know their captions."
    )
    without = {**report, "splits": {"train, seen": report["splits"]["train, seen"]}}
    assert concepts.tuning_leak(without) is None


def test_features_carry_the_backbone_and_fit_its_concepts(
    world: TunedWorld, tmp_path: Path
) -> None:
    """Extractor and stored rows give the scores that the network itself gave."""
    store = visual.extract(
        world.dataset, tmp_path / "features", backbone=f"tuned:{world.folder}", device="cpu",
        quiet=True,
    )  # fmt: skip
    for name in ("backbone.safetensors", "backbone.json"):
        assert (tmp_path / "features" / name).read_bytes() == (world.folder / name).read_bytes()
    folder = ConceptFolder.open(world.folder / "concepts")
    folder.check_features(store)
    extractor = Extractor.load(world.folder / "concepts", "cpu")
    for name in split(world, "dev"):
        found = concepts.extract(extractor, [store.rows(name)])[0]
        assert torch.allclose(found, folder.store.rows(name), atol=2e-3)
    wanted = concepts.ConceptSettings(folds=2, minimum_count=1, hidden=0)
    wanted = replace(wanted, training=replace(wanted.training, epochs=1, warmup_steps=0))
    report = concepts.train(store, world.dataset, tmp_path / "concepts", wanted, quiet=True)
    said = concepts.known_before(report)
    assert said is not None and "captions of 15 training photos" in said and "folds=5" in said
    assert concepts.known_before({"train is scored": "out of fold"}) is None


class Stopped(Exception):
    pass


@pytest.mark.slow
def test_what_is_stopped_anywhere_ends_alike(
    world: TunedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file of the finished folder is the same to the byte, times in the report aside."""

    def little(*arguments: Any, **more: Any) -> Any:
        result = fit(*arguments, stop_after=2, **more)
        if not result.finished:
            raise Stopped
        return result

    monkeypatch.setattr(making, "fit", little)
    stops = 0
    while True:
        try:
            tune(world.dataset, tmp_path / "tuned", settings(), backbone=NAME, quiet=True)
            break
        except Stopped:
            stops += 1
    assert stops == 2

    def contents(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    one, other = contents(world.folder), contents(tmp_path / "tuned")
    assert one.keys() == other.keys() and "report.json" in one
    assert [name for name in one if one[name] != other[name]] in ([], ["report.json"])


def test_a_finished_folder_is_read_again_and_others_are_refused(
    world: TunedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "fit", None)
    again = tune(world.dataset, world.folder, settings(), backbone=NAME, quiet=True)
    assert again == json.loads((world.folder / "report.json").read_text())
    with pytest.raises(RunError, match=r"begun with crops=0\.2, now 0\.1"):
        tune(world.dataset, world.folder, settings(crops=0.1), backbone=NAME, quiet=True)
    other = replace(world.dataset, pictures=world.dataset.pictures[:-1])
    with pytest.raises(RunError, match="begun with other weights, captions or splits"):
        tune(other, world.folder, settings(), backbone=NAME, quiet=True)
    with pytest.raises(RunError, match="begun with other weights"):
        tune(world.dataset, world.folder, settings(), backbone="efficientnet-lite1", quiet=True)


def test_it_can_begin_with_what_was_tuned(
    world: TunedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the weights and the size of that; nothing is tuned here, only begun."""
    monkeypatch.setattr(making, "fit", lambda task, *_, **__: (_ for _ in ()).throw(Stopped))
    seen = spied(monkeypatch)
    chosen = replace(settings(folds=0), size=None, crop_size=48)
    with pytest.raises(Stopped):
        tune(world.dataset, tmp_path / "t", chosen, backbone=f"tuned:{world.folder}", quiet=True)
    begun, tensors = (
        seen.modules[0].backbone.network.state_dict(),
        read_tensors(world.folder / "backbone.safetensors"),
    )
    assert all(torch.equal(begun[name], tensors[name]) for name in tensors)
    assert next(iter(seen.photos[0].epoch(0)))[1].shape[1:] == (3, 48, 48)
    assert next(iter(seen.photos[0].ordered()))[1].shape[1:] == (3, 32, 32)
    file = shutil.copy(world.folder / "backbone.safetensors", tmp_path / f"{NAME}-mine.safetensors")
    with pytest.raises(Stopped):
        tune(
            world.dataset, tmp_path / "u", settings(folds=0), backbone=NAME,
            places=visual.Places.of([file]), quiet=True,
        )  # fmt: skip
    begun = seen.modules[1].backbone.network.state_dict()
    assert all(torch.equal(begun[name], tensors[name]) for name in tensors)


def test_what_cannot_be_tuned(world: TunedWorld, tmp_path: Path) -> None:
    for name, error, said in (
        ("timm:resnet18", SettingsError, "cannot be tuned here"),
        ("efficientnet-lite9", UnknownName, "efficientnet-lite"),
        (f"tuned:{tmp_path}", RunError, "no tuned backbone here"),
    ):
        with pytest.raises(error, match=said):
            tune(world.dataset, tmp_path / "t", settings(), backbone=name, quiet=True)
    assert not (tmp_path / "t").exists()
    nothing = replace(world.dataset, pictures=world.dataset.split("train").pictures[2:3])
    with pytest.raises(DataError, match="no training picture has both"):
        tune(nothing, tmp_path / "t", settings(), backbone=NAME, quiet=True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"folds": 1}, "0 or at least 2"),
        ({"stages": 10}, "at most 9"),
        ({"crops": 1.0}, "crops"),
        ({"size": 31}, "^size is 32 to 4096 pixels, not 31"),
        ({"crop_size": (64, 5000)}, r"^crop_size is 32 to 4096 pixels, not \(64, 5000\)"),
        ({"backbone_rate": -1.0}, "backbone_rate"),
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings(**wrong)


# a backbone that is carried


def test_a_carried_backbone_is_the_one_of_the_record(world: TunedWorld, tmp_path: Path) -> None:
    record = tuned.Tuning.of(world.folder)
    assert record is not None
    tuned.copy(record.preprocessing, world.folder, tmp_path)
    regions = visual.regions_for(record.preprocessing, "cpu", tmp_path)
    assert regions.record == record.preprocessing
    with pytest.raises(RunError, match=r"or, if they were tuned, copy backbone\.safetensors"):
        visual.regions_for(record.preprocessing, "cpu")
    other = replace(record.preprocessing, weights_sha256="ab" * 32)
    for use in (lambda: visual.regions_for(other, "cpu", tmp_path),
                lambda: tuned.copy(other, tmp_path, tmp_path / "x")):  # fmt: skip
        with pytest.raises(RunError, match=r"backbone\.safetensors: damaged, or not the weights"):
            use()
    strange = replace(record.preprocessing, backbone="timm:resnet18")
    with pytest.raises(RunError, match="no weights of timm:resnet18"):
        visual.regions_for(strange, "cpu", tmp_path)
    with open(tmp_path / "backbone.safetensors", "r+b") as file:
        file.truncate(65 << 20)
    with pytest.raises(RunError, match="larger than the weights of any network"):
        visual.regions_for(record.preprocessing, "cpu", tmp_path)


def test_what_is_said_of_a_backbone_can_be_damaged(world: TunedWorld, tmp_path: Path) -> None:
    shutil.copytree(world.folder, tmp_path / "t")
    file = tmp_path / "t" / "backbone.json"
    told = json.loads(file.read_text())
    for content, said in (
        ("{", "backbone.json"), (json.dumps({**told, "format": 2}), "newer miacap"),
        (json.dumps({**told, "pictures": "many"}), "pictures"), ("[]", "backbone.json"),
    ):  # fmt: skip
        file.write_text(content)
        with pytest.raises(RunError, match=said):
            tuned.load(tmp_path / "t", "cpu")
    file.unlink()
    with pytest.raises(RunError, match="no tuned backbone here"):
        tuned.load(tmp_path / "t", "cpu")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (torch.int8, "holds numbers of type torch.int8, not torch.float32"),
        (torch.complex64, "holds numbers of type torch.complex64"),
        (math.nan, "are not finite"),
        (math.inf, "are not finite"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    world: TunedWorld, tmp_path: Path, kind: Any, said: str
) -> None:
    """Under a right checksum, too."""
    tensors = read_tensors(world.folder / "backbone.safetensors")
    name = "head.conv.weight"
    if isinstance(kind, float):
        tensors[name][0, 0] = kind
    else:
        tensors[name] = tensors[name].to(kind)
    told = tuned.Tuning.of(world.folder)
    assert told is not None
    digest = write_tensors(tmp_path / "backbone.safetensors", tensors)
    record = replace(told.preprocessing, weights_sha256=digest)
    with pytest.raises(RunError, match=said):
        visual.regions_for(record, "cpu", tmp_path)


def test_weights_in_half_precision_are_read(world: TunedWorld, tmp_path: Path) -> None:
    tensors = read_tensors(world.folder / "backbone.safetensors")
    told = tuned.Tuning.of(world.folder)
    assert told is not None
    halved = {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}
    digest = write_tensors(tmp_path / "backbone.safetensors", halved)
    record = replace(told.preprocessing, weights_sha256=digest)
    regions = visual.regions_for(record, "cpu", tmp_path)
    photo = visual.decode(world.dataset.photos.read(world.dataset.ids[0]))
    own = visual.regions_for(told.preprocessing, "cpu", world.folder)
    assert torch.allclose(regions.rows([photo])[0][0], own.rows([photo])[0][0], atol=0.1)
