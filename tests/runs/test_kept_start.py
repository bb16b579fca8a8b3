"""A training goes on though the run that it began with is gone, renamed or moved."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from miacap import captioning, runs
from miacap.cli.reporting import starting_run
from miacap.data import Source
from miacap.errors import RunError
from miacap.runs import Run, RunSettings
from miacap.runs.kept_start import keep_start, load_start
from miacap.runs.overview import BEGAN_WITH, is_run, listing
from miacap.runs.starting import notes

from ..captioning.small import DATA, World, fit, make, settings
from .test_pretrained import install, site  # noqa: F401

KEPT = f"checkpoints/{BEGAN_WITH}/begun"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def begun(world: World) -> Run:
    return fit(world, world.root / "begun", settings("nic", "plain"), None)


def further(run: Run) -> RunSettings:
    wanted = runs.continued(run, "cross-entropy")
    return replace(wanted, training=replace(wanted.training, epochs=2, warmup_steps=0, threads=1))


def train(world: World, folder: Path, start: Run, wanted: RunSettings, **more: int) -> bool:
    result = captioning.train(
        DATA, world.regions, folder, wanted, start=start, quiet=True,
        stop_after=more.get("stop_after"),
    )  # fmt: skip
    return result.finished


@pytest.mark.parametrize("steps", [0, 1])
def test_the_same_command_goes_on_without_the_run(
    world: World, begun: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: int
) -> None:
    """Before the first step too, with the same weights in the end."""
    start = runs.load(shutil.copytree(begun.folder, tmp_path / "begun"))
    wanted, folder = further(start), tmp_path / "new"
    assert not train(world, folder, start, wanted, stop_after=steps)
    if not steps:
        shutil.rmtree(folder / "checkpoints" / "tensorboard", ignore_errors=True)
        for file in (folder / "checkpoints").glob("step-*"):
            file.unlink()  # as a kill before the first checkpoint leaves it
    shutil.rmtree(tmp_path / "begun")
    again = starting_run(tmp_path / "begun", folder)
    assert again.folder == folder / KEPT
    assert "begun is not there; this goes on with the copy in" in capsys.readouterr().err
    assert train(world, folder, again, wanted)
    assert train(world, tmp_path / "whole", begun, wanted)
    one, other = (
        (tmp_path / name / "weights.safetensors").read_bytes() for name in ("new", "whole")
    )
    assert one == other
    assert listing(tmp_path) == [folder, tmp_path / "whole"]  # no copy is listed


def test_an_installed_captioner_is_begun_with_by_its_name(
    begun: Run,
    site: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The new run names it, and goes on without it; a folder of that name goes before."""
    folder, new, name = install(site, "a-captioner"), tmp_path / "new", Path("a-captioner")
    shutil.copytree(begun.folder, folder, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    start = starting_run(name, new)
    assert start.folder == folder and capsys.readouterr() == ("", "")
    known = further(start).start
    assert known is not None and known.run == "a-captioner"
    other = (Source("mine.csv", "0" * 64, 1),)
    (told,) = notes(start, start.settings.objective, other)
    assert told.startswith("a-captioner was not trained on mine.csv;")
    keep_start(start, new)
    kept = new / "checkpoints" / BEGAN_WITH / "a-captioner"
    assert is_run(kept) and not (kept / "names.json").exists()
    shutil.rmtree(site)
    assert starting_run(name, new).folder == kept
    assert "a-captioner is not there; this goes on with the copy in" in capsys.readouterr().err
    shutil.copytree(begun.folder, name)
    assert starting_run(name, new).folder == name and capsys.readouterr() == ("", "")


def test_a_run_that_was_renamed_is_the_same(world: World, begun: Run, tmp_path: Path) -> None:
    assert not train(world, tmp_path / "new", begun, further(begun), stop_after=1)
    renamed = runs.load(shutil.copytree(begun.folder, tmp_path / "renamed"))
    assert train(world, tmp_path / "new", renamed, further(renamed))
    start = runs.load(tmp_path / "new").settings.start
    assert start is not None and start.run == "begun"


def test_other_weights_are_refused(world: World, begun: Run, tmp_path: Path) -> None:
    assert not train(world, tmp_path / "new", begun, further(begun), stop_after=1)
    other = fit(world, tmp_path / "begun", replace(settings("nic", "plain"), beam=1), None)
    shutil.copy(begun.folder / "settings.json", other.folder)
    other = runs.load(other.folder)
    weights = other.folder / "weights.safetensors"
    assert weights.read_bytes() == (begun.folder / "weights.safetensors").read_bytes()
    module = other.captioner("cpu")
    from miacap.weights import write_weights

    write_weights(weights, {n: t + 1 for n, t in module.state_dict().items()})
    with pytest.raises(RunError, match="holds a run with start"):
        train(world, tmp_path / "new", other, further(other))


def test_without_a_copy_a_sentence_says_what_to_do(begun: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder") as error:
        load_start(tmp_path / "begun", tmp_path / "new")
    assert "holds no copy" not in str(error.value)
    (tmp_path / "new" / "checkpoints").mkdir(parents=True)
    with pytest.raises(RunError, match=r"holds no copy of a run of that name: put .*begun back"):
        load_start(tmp_path / "begun", tmp_path / "new")
    keep_start(begun, tmp_path / "new")
    assert load_start(tmp_path / "begun", tmp_path / "new").folder == tmp_path / "new" / KEPT
    with pytest.raises(RunError, match="holds no copy"):  # a name that was typed wrongly
        load_start(tmp_path / "begin", tmp_path / "new")
    assert load_start(begun.folder, tmp_path / "new").folder == begun.folder


def test_tuning_says_what_to_do_as_well(begun: Run, tmp_path: Path) -> None:
    """Its checkpoints lie one folder deeper."""
    (tmp_path / "new" / "tuning" / "checkpoints").mkdir(parents=True)
    with pytest.raises(RunError, match=r"holds no copy of a run of that name: put .*begun back"):
        load_start(tmp_path / "begun", tmp_path / "new")
    keep_start(begun, tmp_path / "new" / "tuning")
    copy = load_start(tmp_path / "begun", tmp_path / "new")
    assert copy.folder == tmp_path / "new" / "tuning" / KEPT


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_run_that_was_given_by_a_link_is_found_by_both_names(begun: Run, tmp_path: Path) -> None:
    latest, new = tmp_path / "latest", tmp_path / "new"
    latest.symlink_to(begun.folder)
    names = new / KEPT / "names.json"
    keep_start(runs.load(latest), new)
    assert json.loads(names.read_text()) == ["latest"]
    other = tmp_path / "other"
    other.symlink_to(begun.folder)
    keep_start(runs.load(other), new)  # whole already: a name more, and nothing else
    keep_start(begun, new)
    assert json.loads(names.read_text()) == ["latest", "other"]
    latest.unlink()
    for gone in (latest, other.parent / "begun"):
        assert load_start(gone, new).folder == new / KEPT
    with pytest.raises(RunError, match="holds no copy"):
        load_start(tmp_path / "neither", new)
    (new / KEPT / "weights.safetensors").write_bytes(b"of another run")
    keep_start(begun, new)  # made anew, it has no other name
    assert not names.exists()
    names.write_text('{"latest": 1}')
    with pytest.raises(RunError, match=r"names\.json: no list of names"):
        load_start(latest, new)


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("place", ["checkpoints", f"checkpoints/{BEGAN_WITH}", KEPT])
def test_nothing_is_written_or_removed_through_a_link(
    begun: Run, tmp_path: Path, place: str
) -> None:
    theirs, link = tmp_path / "theirs", tmp_path / "new" / place
    inside = theirs / Path(KEPT).relative_to(place) / "settings.json"
    inside.parent.mkdir(parents=True)
    inside.write_text("their own")
    link.parent.mkdir(parents=True)
    link.symlink_to(theirs)
    with pytest.raises(RunError, match="a link, and nothing is written through one") as error:
        keep_start(begun, tmp_path / "new")
    assert str(error.value).startswith(f"{link}:")
    assert inside.read_text() == "their own"
    assert [path for path in theirs.rglob("*") if path.is_file()] == [inside]


def test_a_copy_that_a_kill_cut_short_is_made_anew(begun: Run, tmp_path: Path) -> None:
    copy = tmp_path / KEPT
    keep_start(begun, tmp_path)
    whole = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert {"settings.json", "weights.safetensors", "vocabulary.json", "README.md"} <= whole.keys()
    (copy / "settings.json").unlink()
    (copy / "weights.safetensors").write_bytes(b"half")
    with pytest.raises(RunError, match="holds no copy"):
        load_start(tmp_path / "begun", tmp_path)
    keep_start(begun, tmp_path)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == whole
    keep_start(runs.load(copy), tmp_path)  # the copy of itself
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == whole
