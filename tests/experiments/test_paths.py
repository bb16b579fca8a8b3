"""Folders are given as text or as paths, as `miacap.load` takes them."""

from pathlib import Path

import pytest

from miacap import captioning, experiments
from miacap.concepts import ConceptFolder
from miacap.data import scenes
from miacap.errors import DataError

TINY = (
    "minimum_count=1", "maximum_words=6", "sizes.width=8", "sizes.heads=2", "sizes.inner=12",
    "sizes.rows=aligned", "concepts=2", "beam=1", "training.epochs=1", "training.threads=1",
)  # fmt: skip


def test_concepts_and_runs_as_text(made_up, tmp_path: Path) -> None:
    found = ConceptFolder.open(str(made_up.concepts.folder))
    assert found.folder == made_up.concepts.folder
    recipe = experiments.recipe("nic-combined", small=True)
    done = experiments.reproduce(
        recipe, made_up.dataset, made_up.regions, str(tmp_path / "run"),
        concepts=found, sets=TINY, quiet=True,
    )  # fmt: skip
    assert done.result.finished and (tmp_path / "run" / "recipe.json").is_file()
    result = captioning.train(
        made_up.dataset, made_up.regions, str(tmp_path / "other"),
        experiments.recipe("nic-plain", small=True).settings, stop_after=0, quiet=True,
    )  # fmt: skip
    assert not result.finished and (tmp_path / "other" / "settings.json").is_file()


def test_demo_as_text(tmp_path: Path) -> None:
    scenes.draw(tmp_path / "scenes", 1)
    with pytest.raises(DataError, match="holds 1 scenes, not 1200"):
        experiments.demo(str(tmp_path), quiet=True)
