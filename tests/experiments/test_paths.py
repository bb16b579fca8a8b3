"""Folders are given as text or as paths, as `miacap.load` takes them."""

import errno
import os
from pathlib import Path

import pytest

from miacap import captioning, experiments
from miacap.concepts import ConceptFolder
from miacap.data import scenes
from miacap.errors import DataError, RunError

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
    with pytest.raises(DataError, match="holds 1 scene, not 1200"):
        experiments.demo(str(tmp_path), quiet=True)


@pytest.mark.parametrize("name", ["index.html", "table.md", ".lock", ".table.md.mine.part"])
def test_a_demo_leaves_somebodys_folder_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("theirs")
    os.utime(tmp_path / name, (0, 0))
    with pytest.raises(RunError, match="is no demo of miacap; choose an empty or new folder"):
        experiments.demo(tmp_path, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "theirs"


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("part", ["scenes", "features", "concepts", "runs"])
def test_a_demo_goes_through_no_link(tmp_path: Path, part: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / part).symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match=f"{part}: a link, and nothing is written through one"):
        experiments.demo(tmp_path / "demo", quiet=True)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("name", ["index.html", ".lock", ".metadata.jsonl.mine.part"])
def test_scenes_are_not_drawn_into_somebodys_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("theirs")
    os.utime(tmp_path / name, (0, 0))
    with pytest.raises((DataError, RunError)):
        scenes.draw(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "theirs"


def test_a_full_disk_names_the_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Scene:
        def save(self, *_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("miacap.data.scenes.paint", lambda *_: Scene())
    with pytest.raises(OSError) as error:
        scenes.draw(tmp_path / "s", 1, quiet=True)
    assert str(error.value.filename) == str(tmp_path / "s" / "scene-000000.png")
