"""Joined sources: plain loops, what is fitted on what, folders, runs on new photos."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miacap import captioning, runs
from miacap.captioning.inputs import Inputs
from miacap.captioning.pipeline import _require_whole
from miacap.concepts import (
    ConceptFolder,
    ConceptSettings,
    ConceptSource,
    JoinSettings,
    join,
    read,
    train,
)
from miacap.concepts.joining import Joined, Member, halves
from miacap.concepts.looking import load as load_finder
from miacap.concepts.settings import ListSettings
from miacap.data import Dataset
from miacap.data.features import Preprocessing
from miacap.data.store import FeatureStore
from miacap.errors import DataError, RunError
from miacap.runs import RunSettings
from miacap.training import TrainingSettings

World = tuple[FeatureStore, Dataset]
GRID = Preprocessing("efficientnet-lite2", "ab" * 32)
QUICK = ConceptSettings(
    extractor="pooled", minimum_count=1, hidden=16, dropout=0.1, folds=2, batch_size=16,
    training=TrainingSettings(epochs=8, learning_rate=0.03, warmup_steps=4),
)  # fmt: skip


@pytest.fixture(scope="module")
def sources(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ConceptFolder]:
    """Two extractors and a file of lists; look, but do not change them."""
    regions, dataset = world
    root = tmp_path_factory.mktemp("sources")
    for seed, name in enumerate(("first", "second")):
        train(regions, dataset, root / name, replace(QUICK, seed=seed), quiet=True)
    lists = {
        id: ["dog", "ball"] if index % 2 else ["grass"] for index, id in enumerate(dataset.ids)
    }
    (root / "l.json").write_text(json.dumps(lists))
    read(root / "l.json", dataset, root / "lists", ListSettings(minimum_count=1), quiet=True)
    return {name: ConceptFolder.open(root / name) for name in ("first", "second", "lists")}


@given(st.integers(0, 2**31), st.integers(1, 5))
def test_features_and_ranks_as_plain_loops(seed: int, pictures: int) -> None:
    torch.manual_seed(seed)
    members = (Member((0, 2, 3), False), Member((3, 1), True))
    prior, numbers = torch.randn(5), torch.randn(5, dtype=torch.float64)
    sure = torch.rand(pictures, 3).clamp(0.01, 0.99)
    listed = torch.rand(pictures, 2) * (torch.rand(pictures, 2) > 0.4)
    joined = Joined("log-odds", members, prior, numbers)
    found = joined.scores([sure, listed])
    mean_rank = 1 / Joined("ranks", members, prior, torch.zeros(0)).scores([sure, listed])
    for picture in range(pictures):
        own = [dict(zip(m.columns, s[picture].tolist(), strict=True))
               for m, s in zip(members, (sure, listed), strict=True)]  # fmt: skip
        for word in range(5):
            p = own[0].get(word)
            x = [float(prior[word]) if p is None else math.log(p / (1 - p))]
            score = own[1].get(word, 0.0)
            x += [1.0, math.log(max(score, 1e-6))] if score > 0 else [0.0, 0.0]
            x += [float(prior[word]), 1.0]
            odds = sum(a * b for a, b in zip(x, numbers.tolist(), strict=True))
            wanted = min(1 - 1e-7, max(1e-7, 1 / (1 + math.exp(-odds))))
            assert float(found[picture, word]) == pytest.approx(wanted, rel=1e-3, abs=1e-6)
            ranks = []
            for scores in own:
                having = {w: s for w, s in scores.items() if s > 0}
                if word in having:
                    better = sum((-s, w) < (-having[word], word) for w, s in having.items())
                    ranks.append(better + 1)
                else:  # the mean of the ranks that are left
                    left = range(len(having) + 1, 6)
                    ranks.append(sum(left) / len(left))
            assert float(mean_rank[picture, word]) == pytest.approx(sum(ranks) / 2)


def test_joined_is_no_worse_and_learns_from_train_alone(
    world: World, sources: dict[str, ConceptFolder], tmp_path: Path
) -> None:
    _, dataset = world
    both = [sources["first"], sources["lists"]]
    report = join(both, dataset, tmp_path / "a", quiet=True)
    for split in ("train", "dev"):
        first, lists, joined = report["splits"][split]["sources"]
        assert joined["folder"] == str(tmp_path / "a")
        assert joined["mAP"] > lists["mAP"] + 0.2 and joined["mAP"] > first["mAP"] - 0.03
    assert join(both, dataset, tmp_path / "a", quiet=True) == report
    others = [
        entry if entry.split == "train" or not entry.captions
        else replace(entry, captions=("a dog and water",)) for entry in dataset.pictures
    ]  # fmt: skip
    changed = Dataset(dataset.name, tuple(others), dataset.photos, (), ())
    join(both, changed, tmp_path / "b", quiet=True)
    for name in ("joined.safetensors", "concepts.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with pytest.raises(RunError, match="begun with method='log-odds', now 'ranks'"):
        join(both, dataset, tmp_path / "a", JoinSettings("ranks"), quiet=True)


def test_a_training_picture_is_scored_with_numbers_of_the_other_half(
    world: World, sources: dict[str, ConceptFolder], tmp_path: Path
) -> None:
    from miacap.concepts.joining import fit, reader

    _, dataset = world
    both = [sources["first"], sources["second"]]
    join(both, dataset, tmp_path / "j", quiet=True)
    folder = ConceptFolder.open(tmp_path / "j")
    words = folder.source.words
    joined = Joined.load(tmp_path / "j", folder.source, [one.source for one in both])
    read_scores = reader([one.store for one in both])
    names = [e.id for e in dataset.pictures if e.split == "train"]
    from miacap.concepts.comparing import Common

    common = Common.of(both, dataset)
    assert common.words.words == words
    side = halves(names, {})
    assert {0, 1} == set(side.values())
    for half in (0, 1):
        learned = [name for name in names if side[name] != half]
        numbers = fit(joined, learned, common.targets, read_scores).float()
        mine = [name for name in names if side[name] == half][:4]
        wanted = joined.scores(read_scores(mine), numbers)
        stored = torch.stack(folder.store.rows_of(mine))
        torch.testing.assert_close(stored, wanted, rtol=1e-4, atol=1e-6)
    dev = [e.id for e in dataset.pictures if e.split == "dev"][:4]
    torch.testing.assert_close(
        torch.stack(folder.store.rows_of(dev)),
        joined.scores(read_scores(dev)),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_run_finds_joined_concepts_in_new_photos(
    world: World, sources: dict[str, ConceptFolder], tmp_path: Path
) -> None:
    regions, dataset = world
    join([sources["first"], sources["second"]], dataset, tmp_path / "j", quiet=True)
    folder = ConceptFolder.open(tmp_path / "j")
    settings = RunSettings(
        captioner="spatial-attention", source="combined", minimum_count=1, maximum_words=6,
        sizes={"width": 8, "heads": 2, "inner": 12},
    )  # fmt: skip
    settings = replace(settings, training=replace(settings.training, epochs=1, warmup_steps=0))
    captioning.train(dataset, regions, tmp_path / "run", settings, concepts=folder, quiet=True)
    run = runs.load(tmp_path / "run")
    shutil.rmtree(tmp_path / "j" / "members")
    finder = run.finder("cpu")
    assert finder is not None and finder.words == folder.source.words
    names = [e.id for e in dataset.pictures if e.split == "dev"]
    rows = regions.rows_of(names)
    found = finder.scores([finder.prepare(Image.new("RGB", (9, 9)))] * len(names), rows)
    torch.testing.assert_close(
        torch.stack(found), torch.stack(folder.store.rows_of(names)), rtol=1e-3, atol=1e-5
    )
    with pytest.raises(RunError, match=r"filled by miacap concepts join"):
        Inputs.of_run(run, regions)
    assert Inputs.of_run(run, regions, folder).stored(names).concepts is not None
    file = tmp_path / "run" / "members" / "1" / "concepts.json"
    file.write_bytes((tmp_path / "run" / "members" / "0" / "concepts.json").read_bytes())
    with pytest.raises(RunError, match=r"absent, or not the source that concepts\.json above it"):
        run.finder("cpu")


def test_lists_among_them_are_told(
    world: World, sources: dict[str, ConceptFolder], tmp_path: Path
) -> None:
    _, dataset = world
    join(
        [sources["second"], sources["lists"]], dataset, tmp_path / "j", JoinSettings("ranks"),
        quiet=True,
    )  # fmt: skip
    source = ConceptSource.of(tmp_path / "j")
    assert source is not None and source.never_found and source.scores == "ranks"
    source.save(tmp_path / "copy")
    assert ConceptSource.of(tmp_path / "copy") == source
    with pytest.raises(RunError, match="joined with those of a file, so that nothing finds them"):
        load_finder(tmp_path / "j", source)
    regions, _ = world
    settings = RunSettings(
        captioner="spatial-attention", source="combined", minimum_count=1, maximum_words=6,
        sizes={"width": 8, "heads": 2, "inner": 12},
    )  # fmt: skip
    settings = replace(settings, training=replace(settings.training, epochs=1, warmup_steps=0))
    folder = ConceptFolder.open(tmp_path / "j")
    captioning.train(dataset, regions, tmp_path / "run", settings, concepts=folder, quiet=True)
    seeing = replace(runs.load(tmp_path / "run"), preprocessing=GRID)
    assert seeing.concepts == source
    assert "joined with those of a file" in runs.card._use("run", seeing)
    with pytest.raises(RunError, match="so that nothing finds them"):
        _require_whole(seeing)


def test_identical_photos_share_a_half(
    world: World, sources: dict[str, ConceptFolder], tmp_path: Path
) -> None:
    names = [f"{number}.jpg" for number in range(40)]
    alone = halves(names, {})
    photos = {name: f"{int(name[:-4]) // 2:064x}" for name in names}
    together = halves(names, photos)
    assert all(together[f"{n}.jpg"] == together[f"{n + 1}.jpg"] for n in range(0, 40, 2))
    assert any(alone[f"{n}.jpg"] != alone[f"{n + 1}.jpg"] for n in range(0, 40, 2))
    assert set(together.values()) == {0, 1}
    # What is trained on features of photos hands their checksums on, and so does a joined folder.
    regions, dataset = world
    known = {name: f"{number // 2:064x}" for number, name in enumerate(regions.names)}
    of_photos = FeatureStore.open(regions.folder)
    of_photos.photos = known
    train(of_photos, dataset, tmp_path / "t", QUICK, quiet=True)
    trained = ConceptFolder.open(tmp_path / "t")
    assert trained.store.photos == known
    join([trained, sources["lists"]], dataset, tmp_path / "j", quiet=True)
    assert ConceptFolder.open(tmp_path / "j").store.photos == known


def test_too_few_to_weigh_are_refused(
    world: World, sources: dict[str, ConceptFolder], tmp_path: Path
) -> None:
    _, dataset = world
    both = [sources["first"], sources["lists"]]
    pictures = (
        tuple(e for e in dataset.pictures if e.split == "dev") + dataset.split("train").pictures[:1]
    )
    few = Dataset(dataset.name, pictures, dataset.photos, (), ())
    with pytest.raises(DataError) as e:
        join(both, few, tmp_path / "j", quiet=True)
    assert str(e.value) == (
        "1 training picture with captions, or as many copies of one photo, is too few to weigh the "
        "log-odds of each half with what the other half teaches; give at least a few dozen, or "
        "take the mean of ranks: --set method=ranks"
    )
    assert not (tmp_path / "j").exists()
    join(both, few, tmp_path / "j", JoinSettings("ranks"), quiet=True)


def test_what_cannot_be_joined(
    world: World, sources: dict[str, ConceptFolder], tmp_path: Path
) -> None:
    _, dataset = world
    with pytest.raises(DataError, match="Two to 100 folders of concepts are joined, not 1"):
        join([sources["first"]], dataset, tmp_path / "a", quiet=True)
    join([sources["first"], sources["lists"]], dataset, tmp_path / "j", quiet=True)
    with pytest.raises(RunError, match="is joined itself; name the folders"):
        join(
            [ConceptFolder.open(tmp_path / "j"), sources["first"]],
            dataset,
            tmp_path / "b",
            quiet=True,
        )
