"""Features that somebody brings: trained on, evaluated, and never asked to see a photo."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import miacap
from miacap import captioning, concepts, runs
from miacap.concepts import ConceptFolder, ConceptSettings
from miacap.data import Dataset, Entry
from miacap.data.features import Given
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.errors import RunError
from miacap.explain import show
from miacap.runs import RunSettings

NOUNS = ("dog", "cat", "bird", "horse", "boat", "tree")


class NoPhotos:
    def read(self, id: str) -> bytes:
        raise AssertionError(f"nothing should read the photo {id}")

    def __contains__(self, id: object) -> bool:
        return False


def entries() -> tuple[Entry, ...]:
    splits = ("train",) * 24 + ("dev",) * 6 + ("test",) * 6
    return tuple(
        Entry(f"p{n}", (f"a {NOUNS[n % 6]} and a {NOUNS[(n + 1) % 6]}", "the end"), split)
        for n, split in enumerate(splits)
    )


DATA = Dataset("brought", entries(), NoPhotos())


def bring(folder: Path, name: str = "bottom-up") -> FeatureStore:
    """As somebody who has features of her own would write them, with boxes, 2 or 3 a picture."""
    generator = torch.Generator().manual_seed(0)
    about = Manifest("regions", Given(name, "a detector of 2018"), 5, None, None, "a script")
    with StoreWriter(folder, about) as writer:
        for number, id in enumerate(DATA.ids):
            rows = torch.randn(2 + number % 2, 5, generator=generator)
            writer.add(id, rows, torch.rand(len(rows), 4, generator=generator))
    return FeatureStore.open(folder)


def settings(source: str) -> RunSettings:
    run = RunSettings(
        captioner="spatial-attention", source=source, minimum_count=1, maximum_words=6,
        sizes={"width": 8, "heads": 2, "inner": 12},
    )  # fmt: skip
    return replace(run, training=replace(run.training, epochs=1, warmup_steps=0, threads=1))


def test_the_whole_way_on_features_that_were_given(tmp_path: Path) -> None:
    regions = bring(tmp_path / "f")
    wanted = ConceptSettings(minimum_count=1)
    wanted = replace(wanted, training=replace(wanted.training, epochs=1, threads=1))
    concepts.train(regions, DATA, tmp_path / "c", wanted, quiet=True)
    trained = ConceptFolder.open(tmp_path / "c")
    for source, folder in (("plain", None), ("combined", trained)):
        place = tmp_path / source
        captioning.train(DATA, regions, place, settings(source), concepts=folder, quiet=True)
        run = runs.load(place)
        assert run.preprocessing == Given("bottom-up", "a detector of 2018")
        result = captioning.evaluate(run, DATA, "test", regions, quiet=True)
        assert result.captioned == 6 and result.scores is not None
        card = (place / "README.md").read_text()
        assert "Its features were given (bottom-up), so it cannot see photos" in card
        assert f"miacap evaluate {source} DATA --features FEATURES" in card
        assert "miacap.load" not in card


def test_no_photo_is_captioned_and_the_run_says_why(tmp_path: Path) -> None:
    captioning.train(DATA, bring(tmp_path / "f"), tmp_path / "r", settings("plain"), quiet=True)
    message = "'bottom-up' were given, so this run cannot see photos: .* miacap evaluate"
    with pytest.raises(RunError, match=message):
        miacap.load(tmp_path / "r")  # at once, not at the first photo
    shutil.copytree(tmp_path / "r", tmp_path / "s")
    with pytest.raises(RunError, match=message):
        miacap.load([tmp_path / "r", tmp_path / "s"])
    with pytest.raises(RunError, match="reads no concepts"):
        show(runs.load(tmp_path / "r"), None)  # type: ignore[arg-type]


def test_features_of_another_name_are_refused(tmp_path: Path) -> None:
    captioning.train(DATA, bring(tmp_path / "f"), tmp_path / "r", settings("plain"), quiet=True)
    other = bring(tmp_path / "g", "another")
    with pytest.raises(RunError, match=r"'bottom-up'.* given features 'anot.* read ... --name b"):
        captioning.evaluate(runs.load(tmp_path / "r"), DATA, "test", other, quiet=True)
