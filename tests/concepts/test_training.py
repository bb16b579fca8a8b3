"""The whole way on made-up pictures: no leak, the right extractor, resume, report."""

import json
import math
import platform
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from miacap.concepts import (
    ConceptFolder,
    ConceptSettings,
    ConceptVocabulary,
    Extractor,
    at_base_rate,
    extract,
    heat,
    table,
    train,
    training,
)
from miacap.concepts.evaluation import base_rate
from miacap.concepts.extractor import copy
from miacap.concepts.folds import assign, fold_of
from miacap.concepts.task import FEW, ExtractorTask, Rows, Statistics, begin, smoothed
from miacap.data import Dataset, Entry
from miacap.data.features import Given, Preprocessing
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.errors import DataError, RunError, SettingsError
from miacap.settings import from_json, override, to_json
from miacap.training import TrainingSettings

World = tuple[FeatureStore, Dataset]
QUICK = ConceptSettings(
    minimum_count=1, hidden=16, dropout=0.1, folds=3, batch_size=16,
    training=TrainingSettings(epochs=12, learning_rate=0.02, warmup_steps=4, patience=4),
)  # fmt: skip


SHORT = replace(QUICK, training=TrainingSettings(epochs=2))


@pytest.fixture(scope="module")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trained concepts; look, but do not change it."""
    folder = tmp_path_factory.mktemp("concepts") / "c"
    train(*world, folder, QUICK, quiet=True)
    return folder


def scores(folder: Path) -> dict[str, torch.Tensor]:
    store = FeatureStore.open(folder / "scores")
    return {name: store.rows(name).clone() for name in store.names}


def test_the_whole_way(world: World, finished: Path) -> None:
    regions, dataset = world
    found = train(regions, dataset, finished, QUICK, quiet=True)
    assert found == json.loads((finished / "report.json").read_text())
    for split in ("train", "dev"):
        row = found["splits"][split]
        # The words can be read off the rows, so they must be found, out of fold as on dev.
        assert row["scores"]["mAP"] > 0.8 > 2 * row["base rate"]["mAP"]
    assert "test" not in found["splits"]
    store = FeatureStore.open(finished / "scores")
    assert store.names == regions.names  # also the pictures without captions
    assert store.kind == "concepts" and store.rows("000.jpg").dtype == torch.float32
    extractor = Extractor.load(finished)
    assert store.manifest.words == extractor.words
    assert store.manifest.extractor == extractor.checksum
    assert {path.name for path in (finished).iterdir()} == {
        ".miacap", "scores", "extractor.safetensors", "concepts.json", "settings.json",
        "report.json",
    }  # fmt: skip


def test_settings_of_photos_that_came_later_leave_older_folders_as_they_are(
    world: World,
) -> None:
    regions, dataset = world
    made = Preprocessing("efficientnet-lite2", "ab" * 32)
    settings = ConceptSettings(minimum_count=1)
    sums = []
    for record in (made, replace(made, grid=3), replace(made, precision="bfloat16")):
        store = FeatureStore.open(regions.folder)
        manifest = Manifest("regions", record, 12, None, None, "tests")
        store.manifest = manifest  # type: ignore[misc]
        sums.append(training._Data.of(store, dataset, settings).fingerprint())
    # Computed before there were a grid and a precision to choose.
    assert sums[0] == "319e92f74bd346c1608acd208a04a2b66b5a848e17cdb56a90ae07a362a68036"
    assert len(set(sums)) == 3


def test_pictures_outside_train_are_scored_by_the_extractor_that_is_kept(
    world: World, finished: Path
) -> None:
    regions, dataset = world
    kept = Extractor.load(finished)
    names = list(regions.names)
    mine = extract(kept, regions.rows_of(names), batch_size=7)
    stored = scores(finished)
    training = {entry.id for entry in dataset.split("train").pictures}
    for row, name in enumerate(names):
        same = torch.allclose(mine[row], stored[name], atol=1e-5)
        assert same == (name not in training)


def test_no_training_picture_is_scored_by_what_learned_its_captions(
    world: World, tmp_path: Path
) -> None:
    regions, dataset = world
    victim = "001.jpg"
    words = "dog ball grass water boy red running two"

    def said(caption: str) -> Dataset:
        entries = tuple(
            Entry(e.id, (caption, words), e.split) if e.id == victim else e
            for e in dataset.pictures
        )
        return replace(dataset, pictures=entries)

    # Fixed epochs: dev's choice may follow the whole extractor, which does learn the victim.
    fixed = replace(
        QUICK, training=replace(QUICK.training, epochs=3, patience=0, schedule="constant")
    )
    without_dev = [replace(said(c), pictures=tuple(e for e in said(c).pictures if e.split != "dev"))
                   for c in ("the dog", "no words of ours")]  # fmt: skip
    file = tmp_path / "words.txt"
    file.write_text(words.replace(" ", "\n"))
    fixed = replace(fixed, words_file=str(file))
    train(regions, without_dev[0], tmp_path / "a", fixed, quiet=True)
    poisoned = replace(
        without_dev[1],
        pictures=tuple(
            Entry(e.id, ("nothing",), e.split) if e.id == victim else e
            for e in without_dev[1].pictures
        ),
    )
    train(regions, poisoned, tmp_path / "b", fixed, quiet=True)
    before, after = scores(tmp_path / "a"), scores(tmp_path / "b")
    folds = assign([e.id for e in dataset.split("train").pictures], dataset.photos, regions, 3, 0)
    for name, fold in folds.items():
        # Its whole fold is scored without it; all others were learned with it.
        assert torch.equal(before[name], after[name]) == (fold == folds[victim])
    weights = [(tmp_path / x / "extractor.safetensors").read_bytes() for x in "ab"]
    assert weights[0] != weights[1]


def test_identical_photos_share_a_fold(world: World) -> None:
    regions, dataset = world
    names = [entry.id for entry in dataset.split("train").pictures]
    content = {name: dataset.photos.read(name) for name in names}
    content |= dict.fromkeys(names[1:20:2], content[names[0]])
    photos = type(dataset.photos)(content)  # type: ignore[call-arg]
    found = assign(names, photos, regions, 5, 0)
    assert {found[name] for name in (names[0], *names[1:20:2])} == {found[names[0]]}
    assert set(found.values()) == set(range(5))
    # Without the photo its features stand for it; the seed draws other folds.
    photos.content.clear()
    assert len(set(assign(names, photos, regions, 5, 0).values())) == 5
    assert fold_of(b"photo", 5, 0) == 4  # folds never move between versions
    assert {fold_of(b"photo", 5, seed) for seed in range(20)} == set(range(5))


class Stop(Exception):
    """Raised where a kill would strike."""


@pytest.mark.parametrize("place", ["fit 1", "fit 3", "score", "save", "report"])
def test_what_is_interrupted_goes_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    regions, dataset = world
    monkeypatch.setattr(training, "_CHUNK", 40)
    expected = train(regions, dataset, tmp_path / "a", SHORT, quiet=True)
    calls: list[int] = []

    def deadly(inner: object, strike: int) -> object:
        def call(*args: object, **kwargs: object) -> object:
            calls.append(1)
            if len(calls) == strike:
                raise Stop
            return inner(*args, **kwargs)  # type: ignore[operator]

        return call

    name, strike = {
        "fit 1": ("fit", 1), "fit 3": ("fit", 3), "score": ("_scores", 2),
        "save": ("Manifest", 1), "report": ("_report", 1),
    }[place]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(training, name, deadly(getattr(training, name), strike))
        with pytest.raises(Stop):
            train(regions, dataset, tmp_path / "b", SHORT, quiet=True)
    assert train(regions, dataset, tmp_path / "b", SHORT, quiet=True) == expected
    first, second = scores(tmp_path / "a"), scores(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in regions.names)
    files = [(tmp_path / x / "extractor.safetensors").read_bytes() for x in "ab"]
    assert files[0] == files[1]


def test_finished_work_is_used_again_and_other_work_refused(
    world: World, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions, dataset = world
    first = json.loads((finished / "report.json").read_text())
    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", None)
        assert train(regions, dataset, finished, QUICK, quiet=True) == first
    with pytest.raises(RunError, match=r"begun with hidden=16, now 8; choose another folder"):
        train(regions, dataset, finished, replace(QUICK, hidden=8), quiet=True)
    fewer = replace(dataset, pictures=dataset.pictures[:-2])
    with pytest.raises(RunError, match="begun with other captions, splits or features"):
        train(regions, fewer, finished, QUICK, quiet=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear diary")
    with pytest.raises(RunError, match=r"holds 'diary\.txt' and is no concept folder of mi"):
        train(regions, dataset, tmp_path / "full", QUICK, quiet=True)


def test_folds_train_as_long_as_the_full_one_chose_on_its_schedule(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fold's epoch is not chosen by its own pictures, nor is its rate's fall a shorter one."""
    seen, chosen = [], 0
    inner = training.fit

    def watching(task: ExtractorTask, settings: TrainingSettings, *args: object, **more: object):
        nonlocal chosen
        result = inner(task, settings, *args, **more)
        seen.append((task.watched, settings))
        chosen = chosen or result.best_epoch
        return result

    monkeypatch.setattr(training, "fit", watching)
    wanted = replace(QUICK, training=TrainingSettings(epochs=3, learning_rate=0.5, patience=2))
    train(*world, tmp_path / "c", wanted, quiet=True)
    (watched, whole), *folds = seen
    assert watched == "mAP" and (whole.epochs, whole.schedule_epochs) == (3, None)
    assert len(folds) == 3 and 1 <= chosen <= 3
    for watched, settings in folds:
        assert watched is None
        assert (settings.epochs, settings.schedule_epochs) == (chosen, 3)
        assert (settings.patience, settings.evaluate_every) == (0, chosen)
        assert settings.learning_rate == 0.5 and settings.seed == whole.seed


def test_the_base_rate_is_that_of_the_training_split(world: World, finished: Path) -> None:
    _, dataset = world
    words = Extractor.load(finished).words
    vocabulary = ConceptVocabulary(words)

    def targets(split: str) -> torch.Tensor:
        entries = dataset.split(split).pictures
        return vocabulary.targets([[c.split() for c in entry.captions] for entry in entries])

    report = json.loads((finished / "report.json").read_text())
    for split in ("train", "dev"):
        told = report["splits"][split]
        expected = base_rate(targets("train").float().mean(0), targets(split), (10, 4))
        assert told["base rate"] == pytest.approx(expected)
        learned = targets("train")
        priors = (learned.sum(0) + 0.5) / (len(learned) + 1)
        truth = targets(split)
        by_hand = torch.where(truth, priors.log(), (1 - priors).log()).sum(1).mean()
        assert told["log-likelihood"]["base rate"] == pytest.approx(float(by_hand), rel=1e-5)
    own = base_rate(targets("dev").float().mean(0), targets("dev"), (10, 4))
    assert own != pytest.approx(report["splits"]["dev"]["base rate"])  # the splits do differ


def test_every_epoch_has_another_order(world: World) -> None:
    regions, dataset = world
    names = dataset.split("train").ids[:10]
    rows, targets = Rows(regions, names), torch.eye(10).bool()
    module = training.build("pooled", 12, 10, 0, 0.0)

    def orders(seed: int, epoch: int, skip: int = 0) -> list[int]:
        task = ExtractorTask(module, rows, targets, None, batch_size=4, seed=seed)
        batches = list(task.batches(epoch, skip))
        assert len(batches) == task.batches_per_epoch - skip == 3 - skip
        for batch in batches:  # rows and targets of the same pictures
            for row, target in zip(batch.rows, batch.targets, strict=True):
                name = names[int(target.int().argmax())]
                assert torch.equal(row, regions.rows(name).float())
        return [int(t.int().argmax()) for batch in batches for t in batch.targets]

    first = orders(0, 0)
    assert sorted(first) == list(range(10)) != first
    assert orders(0, 0) == first and orders(0, 0, skip=1) == first[4:]
    assert len({tuple(orders(0, epoch)) for epoch in range(4)}) == 4
    assert orders(1, 0) != first


def test_the_loss_is_summed_over_words_and_weighed_by_pictures(world: World) -> None:
    regions, dataset = world
    targets = torch.eye(10).bool()
    module = training.build("pooled", 12, 10, 0, 0.0)
    task = ExtractorTask(module, Rows(regions, dataset.ids[:10]), targets, None, batch_size=4)
    batch = next(iter(task.batches(0, 0)))
    loss, weight = task.loss(module, batch)
    yes, no = module(batch.rows, batch.mask)
    assert weight == 4
    torch.testing.assert_close(loss, -torch.where(batch.targets, yes, no).sum())


def test_words_of_all_and_of_no_pictures_begin_finite() -> None:
    targets = torch.tensor([[True, False, True]] * 4 + [[True, False, False]] * 5)
    assert smoothed(targets).tolist() == pytest.approx([0.95, 0.05, 0.45])
    for kind, rows in (("multiple-instance", 4.0), ("pooled", 1.0)):
        module = training.build(kind, 12, 3, 0, 0.0)
        module.head.output.weight.data.zero_()
        begin(module, Statistics(torch.zeros(12), torch.ones(12), rows), targets, rows > 1)
        yes, no = module(torch.zeros(1, 4, 12), torch.ones(1, 4).bool())
        assert yes.exp()[0].tolist() == pytest.approx([0.95, 0.05, 0.45], rel=1e-4)
        assert bool(torch.isfinite(yes).all()) and bool(torch.isfinite(no).all())


def test_first_weights_follow_the_seed_and_the_fold(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        """All first weights were seen."""

    def first(seed: int, other: int) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        inner = training.fit

        def watching(task: ExtractorTask, settings: TrainingSettings, *args: object, **m: object):
            seen.append(task.module.head.output.weight.detach().clone())
            assert settings.seed == seed
            assert torch.equal(task.module.head.mean, task._rows.statistics().mean)
            assert float(task.module.head.scale.max()) != 1.0
            if len(seen) == 4:
                raise Enough
            return inner(task, settings, *args, **m)

        wanted = replace(SHORT, seed=seed, training=TrainingSettings(epochs=1, seed=other))
        with monkeypatch.context() as patch:
            patch.setattr(training, "fit", watching)
            before = torch.get_rng_state()
            with pytest.raises(Enough):
                train(*world, tmp_path / f"{seed}-{other}", wanted, quiet=True)
        assert torch.equal(torch.get_rng_state(), before)
        return seen

    one = first(3, 0)
    assert len({tuple(weight.flatten().tolist()) for weight in one}) == 4  # whole, three folds
    assert all(map(torch.equal, first(3, 9), one))  # training.seed is not used
    assert not any(map(torch.equal, first(4, 0), one))


def test_concepts_are_words_of_the_training_captions(world: World, tmp_path: Path) -> None:
    regions, dataset = world
    entries = tuple(
        Entry(e.id, ("a zebra", "two zebras"), e.split) if e.split == "dev" else e
        for e in dataset.pictures
    )
    settings = replace(SHORT, training=TrainingSettings(epochs=1))
    train(regions, replace(dataset, pictures=entries), tmp_path / "c", settings, quiet=True)
    assert not {"zebra", "zebras"} & set(Extractor.load(tmp_path / "c").words)


def test_other_captions_and_other_features_are_other_work(
    world: World, finished: Path, tmp_path: Path
) -> None:
    regions, dataset = world
    first = next(e for e in dataset.pictures if e.split == "train")
    said = {word for caption in first.captions for word in caption.split()}
    other = next(w for w in Extractor.load(finished).words if w not in said)
    swapped = tuple(
        replace(e, captions=(*e.captions[:-1], f"{e.captions[-1]} {other}")) if e is first else e
        for e in dataset.pictures
    )
    words = tmp_path / "words.txt"
    words.write_text("\n".join(Extractor.load(finished).words))
    settings = replace(SHORT, words_file=str(words))
    claimed = tmp_path / "c"
    train(regions, dataset, claimed, settings, quiet=True)
    with pytest.raises(RunError, match="begun with other captions, splits or features"):
        train(regions, replace(dataset, pictures=swapped), claimed, settings, quiet=True)
    with pytest.raises(RunError, match="begun with other captions, splits or features"):
        train(noise(tmp_path / "f", regions.names), dataset, claimed, settings, quiet=True)


def test_debris_of_a_killed_writer_is_swept(world: World, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "c")
    (tmp_path / "c" / "fits" / "fold-0" / "checkpoints").mkdir(parents=True)
    expected = json.loads((finished / "report.json").read_text())
    assert train(*world, tmp_path / "c", QUICK, quiet=True) == expected
    assert not (tmp_path / "c" / "fits").exists()  # killed after the report, before the sweep
    (tmp_path / "c" / "report.json").unlink()
    parts = [f".{name}.{platform.node()}-99999999-1.part" for name in
             ("extractor.safetensors", "concepts.json", "report.json")]  # fmt: skip
    for part in parts:
        (tmp_path / "c" / part.replace(platform.node(), re.sub(r"\W", "", platform.node())[:30])
         ).write_bytes(b"half")  # fmt: skip
    assert train(*world, tmp_path / "c", QUICK, quiet=True) == expected
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        path.name for path in finished.iterdir()
    }


@pytest.mark.parametrize("kind", ["multi-label", "pooled"])
def test_other_extractors_by_name(world: World, tmp_path: Path, kind: str) -> None:
    regions, dataset = world
    settings = override(QUICK, [f"extractor={kind}"])
    found = train(regions, dataset, tmp_path / "c", settings, quiet=True)
    row = found["splits"]["dev"]
    assert row["scores"]["mAP"] > 1.5 * row["base rate"]["mAP"]
    kept = Extractor.load(tmp_path / "c")
    stored = scores(tmp_path / "c")["000.jpg"]
    torch.testing.assert_close(extract(kept, [regions.rows("000.jpg")])[0], stored)
    with pytest.raises(RunError, match=rf"A {kind} extractor has no belief per region"):
        heat(kept, regions.rows("000.jpg").float())


def test_a_heat_map_multiplies_to_the_score(world: World, finished: Path) -> None:
    regions, _ = world
    kept = Extractor.load(finished)
    rows = regions.rows("000.jpg").float()
    cells = heat(kept, rows)
    assert cells.shape == (4, len(kept.words))
    whole = extract(kept, [rows])[0]
    for word in range(len(kept.words)):
        product = math.prod(1 - float(cells[n, word]) for n in range(4))
        assert float(whole[word]) == pytest.approx(1 - product, abs=1e-5)


def test_live_rows_are_rounded_as_stored_ones_are(world: World, finished: Path) -> None:
    regions, _ = world
    kept = Extractor.load(finished)
    live = regions.rows("000.jpg").float() * (1 + 1e-5)
    assert torch.equal(live.half(), regions.rows("000.jpg"))
    assert torch.equal(extract(kept, [live]), extract(kept, [regions.rows("000.jpg")]))
    assert extract(kept, []).shape == (0, len(kept.words))
    with pytest.raises(DataError, match=r"width 5 for an extractor of width 12: .* backbone"):
        extract(kept, [torch.zeros(2, 5)])


class Recorder(nn.Module):
    """Notes where its rows lie, and believes in nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device="meta"))
        self.seen: list[str] = []

    def forward(self, rows: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, None]:
        self.seen += [rows.device.type, mask.device.type]
        return torch.full((len(rows), 2), -torch.inf), None


def test_a_damaged_extractor_is_found_when_it_is_opened_or_copied(
    finished: Path, tmp_path: Path
) -> None:
    copy(finished, tmp_path / "run")
    assert Extractor.load(tmp_path / "run").words == Extractor.load(finished).words
    before = (tmp_path / "run" / "extractor.safetensors").stat().st_mtime_ns
    copy(finished, tmp_path / "run")
    assert (tmp_path / "run" / "extractor.safetensors").stat().st_mtime_ns == before
    shutil.copytree(finished, tmp_path / "c")
    assert ConceptFolder.open(tmp_path / "c").store.names
    weights = tmp_path / "c" / "extractor.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    for use in (ConceptFolder.open, Extractor.load, lambda folder: copy(folder, tmp_path / "new")):
        with pytest.raises(RunError, match=r"extractor\.safetensors: damaged, or not the weights"):
            use(tmp_path / "c")
    assert not (tmp_path / "new").exists()
    with pytest.raises(RunError, match=r"new: no concept extractor here \("):
        copy(tmp_path / "new", tmp_path / "run")


def test_a_stale_extractor_is_replaced(finished: Path, tmp_path: Path) -> None:
    kept = Extractor.load(finished)
    module = training.build("multiple-instance", 12, len(kept.words), 16, 0.1)
    Extractor(kept.vocabulary, "multiple-instance", 12, 16, 0.1, module).save(tmp_path)
    assert Extractor.load(tmp_path).checksum != kept.checksum
    copy(finished, tmp_path)
    assert Extractor.load(tmp_path).checksum == kept.checksum


def noise(folder: Path, names: tuple[str, ...]) -> FeatureStore:
    """Region rows that say nothing of the captions."""
    manifest = Manifest("regions", Given("noise"), 12, None, None, "tests")
    generator = torch.Generator().manual_seed(2)
    with StoreWriter(folder, manifest) as writer:
        for name in names:
            writer.add(name, torch.randn(4, 12, generator=generator))
    return FeatureStore.open(folder)


def test_an_extractor_that_learned_nothing_says_so(
    world: World, finished: Path, tmp_path: Path
) -> None:
    regions, dataset = world
    assert at_base_rate(json.loads((finished / "report.json").read_text())) is None
    report = train(noise(tmp_path / "f", regions.names), dataset, tmp_path / "c", SHORT, quiet=True)
    doubt = at_base_rate(report)
    assert doubt is not None and doubt.startswith(
        "on dev the words are found no better than by their frequencies alone (P@8 "
    )
    assert "learned nothing from 100 training pictures. Give it more" in doubt
    older = {**report, "splits": {"dev": {"scores": {}, "base rate": {}}}}
    assert at_base_rate(older) is None  # a report from before it was asked


def test_a_few_dev_pictures_choose_by_log_likelihood(world: World, tmp_path: Path) -> None:
    regions, dataset = world
    dev = [entry.id for entry in dataset.pictures if entry.split == "dev"]
    for kept, watched in ((FEW, "mAP"), (FEW - 1, "log-likelihood")):
        rows = Rows(regions, dev[:kept])
        targets = torch.zeros(kept, 3, dtype=torch.bool)
        targets[:, 0] = True
        module = training.build("pooled", 12, 3, 0, 0.0).eval()
        task = ExtractorTask(module, rows, targets, (rows, targets))
        assert task.watched == watched and watched in task.evaluate()
        assert list(task.numbers) == list(task.evaluate())
    without = ExtractorTask(module, rows, targets, None)
    assert without.watched is None and not without.numbers


def test_an_extractor_computes_on_its_device(finished: Path) -> None:
    assert Extractor.load(finished, torch.device("meta")).device.type == "meta"
    assert Extractor.load(finished, "cpu").device.type == "cpu"
    with pytest.raises(SettingsError, match="no device named 'nowhere'"):
        Extractor.load(finished, "nowhere")
    module = Recorder()
    vocabulary = ConceptVocabulary(["dog", "cat"])
    extractor = Extractor(vocabulary, "pooled", 3, 0, 0.0, module)
    assert extract(extractor, [torch.zeros(2, 3)]).tolist() == [[0.0, 0.0]]
    assert module.seen == ["meta", "meta"]


def test_a_device_that_is_not_there_leaves_no_folder(world: World, tmp_path: Path) -> None:
    settings = ConceptSettings(training=TrainingSettings(device="nowhere"))
    with pytest.raises(SettingsError, match="no device named 'nowhere'"):
        train(*world, tmp_path / "c", settings, quiet=True)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("kind", [torch.int8, torch.bool])
def test_an_extractor_of_another_kind_of_number_is_refused(
    finished: Path, tmp_path: Path, kind: torch.dtype
) -> None:
    extractor = Extractor.load(finished)
    state = {name: value.to(kind) for name, value in extractor.module.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor.module, "state_dict", lambda: state)
        extractor.save(tmp_path)
    with pytest.raises(RunError, match=r"these weights do not fit .*holds numbers of type"):
        Extractor.load(tmp_path)


def test_files_that_do_not_belong_together(finished: Path, tmp_path: Path) -> None:
    place = tmp_path / "c"
    with pytest.raises(RunError, match=r"no concept extractor here .* miacap concepts train"):
        Extractor.load(place)
    shutil.copytree(finished, place)
    said = json.loads((place / "concepts.json").read_text())
    del said["sha256"]  # as older miacaps wrote it
    for change, message in [
        ({"format": 2}, "format 2, this miacap reads 1; install a newer"),
        ({"kind": "oracle"}, "an extractor of kind 'oracle' is unknown"),
        ({"words": said["words"][1:]}, "these weights do not fit"),
        ({"dropout": 2.0}, r"dropout lies in \[0, 1\), not 2\.0"),
        ({"dropout": math.nan}, r"dropout lies in \[0, 1\), not nan"),
        ({"width": 2**50}, "take smaller sizes"),
        ({"hidden": 2**40}, "take smaller sizes"),
        ({"hidden": 2**62}, r"hidden is below 2\^53, not 4611686018427387904"),
        ({"hidden": -1}, "hidden is at least 0, not -1"),
        ({"width": 2**63}, r"width is below 2\^53"),
        ({"width": 2**70}, r"width is below 2\^53"),
        ({"width": 0}, "width is at least 1, not 0"),
        ({"width": None}, "width is absent or of the wrong type"),
        ({"weights_sha256": "0" * 64}, "damaged, or not the weights that concepts.json"),
    ]:
        (place / "concepts.json").write_text(json.dumps({**said, **change}))
        with pytest.raises(RunError, match=message):
            Extractor.load(place)
    (place / "concepts.json").write_text("[]")
    with pytest.raises(RunError, match="not the description of concepts"):
        Extractor.load(place)
    (place / "concepts.json").write_text(json.dumps(said))
    (place / "extractor.safetensors").unlink()
    with pytest.raises(RunError, match=r"extractor\.safetensors: the weights .* are absent"):
        Extractor.load(place)


def test_nothing_to_learn_from(world: World, tmp_path: Path) -> None:
    regions, dataset = world
    silent = replace(dataset, pictures=tuple(Entry(e.id, (), e.split) for e in dataset.pictures))
    with pytest.raises(DataError, match="no training picture has both captions and regions"):
        train(regions, silent, tmp_path / "c", QUICK, quiet=True)
    one = replace(dataset, pictures=dataset.split("train").pictures[:1])
    with pytest.raises(DataError, match=r"1 training picture .* is too few"):
        train(regions, one, tmp_path / "d", QUICK, quiet=True)


def test_pictures_without_regions_are_counted(world: World, tmp_path: Path) -> None:
    regions, dataset = world
    extra = Entry("999.jpg", ("a dog",), "train")
    more = replace(dataset, pictures=(*dataset.pictures, extra))
    found = train(regions, more, tmp_path / "c", SHORT, quiet=True)
    assert found["captioned pictures without regions"] == 1
    assert found["pictures"] == len(regions)


def test_the_table_shows_both_rows(world: World, finished: Path) -> None:
    regions, dataset = world
    lines = table(train(regions, dataset, finished, QUICK, quiet=True)).splitlines()
    assert lines[0].startswith("8 concepts, multiple-instance extractor, ")
    assert lines[1].split() == ["split", "pictures", "mAP", "P@4", "R@4", "P@8", "R@8"]
    assert [line[:11].strip() for line in lines[2:]] == ["train", "base rate", "dev", "base rate"]


def test_settings_make_sense_and_travel() -> None:
    settings = ConceptSettings(seed=3, words_file="words.txt")
    assert from_json(ConceptSettings, to_json(settings), "settings.json") == settings
    assert override(settings, ["training.epochs=2"]).training.epochs == 2
    with pytest.raises(SettingsError, match="folds is at least 2, not 1"):
        ConceptSettings(folds=1)
    with pytest.raises(SettingsError, match=r"Did you mean 'multi-label'\?"):
        override(settings, ["extractor=multilabel"])
