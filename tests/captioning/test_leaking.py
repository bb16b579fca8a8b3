"""Pictures in two splits: said by `train` and `evaluate`, kept in data.json and on the card."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from miacap import captioning
from miacap.data import Dataset, Entry
from miacap.runs import CARD

from .small import DATA, World, fit, make, settings

APART = Dataset("apart", tuple(
    Entry(entry.id, (*entry.captions, f"number {entry.id}"), entry.split) for entry in DATA
), DATA.photos)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make(tmp_path_factory.mktemp("leaking"))
    made.regions.photos.update({"p0": "a", "p6": "a", "p9": "b", "p10": "c"})
    return made


def test_a_leak_stays_with_the_run(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(world, tmp_path / "r", settings("nic", "plain"), None, dataset=APART)
    said = "1 picture of dev is the same photo as a picture of train: 'p6' and 'p0'; scores on dev"
    assert f"warning: {said}" in capsys.readouterr().err
    kept = json.loads((run.folder / "data.json").read_text())["leaks"]
    assert kept == [
        {"splits": ["train", "dev"], "kind": "photo", "pictures": 1, "first": [["p0", "p6"]]}
    ]
    assert f"Take care: {said}" in (run.folder / CARD).read_text()
    go = captioning.evaluate
    assert [leak.pictures for leak in go(run, APART, "val", world.regions, quiet=True).leaks] == [1]
    assert go(run, APART, "test", world.regions, quiet=True).leaks == ()


def test_without_a_leak_nothing_is_said(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = tuple(e for e in APART if e.id != "p6")
    run = fit(world, tmp_path / "r", settings("nic", "plain"), None,
              dataset=replace(APART, pictures=dev))  # fmt: skip
    assert "same photo" not in capsys.readouterr().err
    assert set(json.loads((run.folder / "data.json").read_text())) == {"sources"}
