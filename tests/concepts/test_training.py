"""The whole way on made-up pictures: no leak, the right extractor, resume, report."""

import json
import platform
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from miacap.concepts import (
    ConceptSettings,
    ConceptVocabulary,
    Extractor,
    at_base_rate,
    extract,
    table,
    train,
    training,
)
from miacap.concepts.evaluation import base_rate
from miacap.concepts.folds import assign, fold_of
from miacap.concepts.task import ExtractorTask
from miacap.data import Dataset, Entry
from miacap.data.features import Given, Preprocessing
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.errors import DataError, RunError, SettingsError
from miacap.settings import from_json, override, to_json
from miacap.training import TrainingSettings

from .conftest import QUICK, SHORT, World, scores


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
        sums.append(training._Data.of(store, dataset, settings).fingerprints())
    # Computed before there were a grid and a precision to choose; then while the precision went in.
    assert sums[0] == [
        "319e92f74bd346c1608acd208a04a2b66b5a848e17cdb56a90ae07a362a68036",
        "4e0e211433ed9f19e11ade7fc4f15916c47c4c477c8c848049873781e79a5be4",
    ]
    assert len({one for some in sums for one in some}) == 5


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


def test_a_device_that_is_not_there_leaves_no_folder(world: World, tmp_path: Path) -> None:
    settings = ConceptSettings(training=TrainingSettings(device="nowhere"))
    with pytest.raises(SettingsError, match="no device named 'nowhere'"):
        train(*world, tmp_path / "c", settings, quiet=True)
    assert not (tmp_path / "c").exists()


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
