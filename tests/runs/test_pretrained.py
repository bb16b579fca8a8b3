"""Captioners that are installed as packages: none of their code runs; which one is taken."""

from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

import miacap
from miacap import runs
from miacap.cli.application import _version
from miacap.errors import RunError
from miacap.runs import pretrained
from miacap.version import __version__

from .test_folder import run  # noqa: F401


def install(place: Path, name: str, version: str = "1.0", package: str = "") -> Path:
    """Lay a distribution as pip would, whose package does harm where it is imported."""
    package = package or name.replace("-", "_")
    info = place / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{pretrained.GROUP}]\n{name} = {package}\n")
    folder = place / package / "run"
    folder.mkdir(parents=True)
    (place / package / "__init__.py").write_text("raise SystemExit('this code was run')\n")
    for file in ("settings.json", "vocabulary.json"):
        (folder / file).write_text("{}")
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages; what is really installed is not seen."""
    place = tmp_path / "site"
    place.mkdir()
    real = pretrained.entry_points
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setattr(
        pretrained,
        "entry_points",
        lambda group: [p for p in real(group=group) if place in Path(str(p.dist._path)).parents],
    )
    return place


def test_one_that_is_installed_is_taken_in_silence(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = install(site, "a-captioner", "2.5")
    (found,) = runs.installed()
    assert (found.name, found.version, found.folder) == ("a-captioner", "2.5", folder)
    assert runs.chosen() == runs.chosen([]) == runs.chosen("a-captioner") == (folder,)
    assert capsys.readouterr() == ("", "")


def test_the_version_names_them_too(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `miacap caption photo.jpg` answers depends on them."""

    def said() -> list[str]:
        with pytest.raises(typer.Exit):
            _version(True)
        return capsys.readouterr().out.splitlines()

    assert said() == [f"miacap {__version__}"]
    install(site, "b-captioner", "2.5"), install(site, "a-captioner", "1.0")
    assert said() == [
        f"miacap {__version__}",
        "captioner a-captioner 1.0",
        "captioner b-captioner 2.5",
    ]
    _version(False)
    assert capsys.readouterr().out == ""


def test_of_several_the_first_by_name_is_taken_and_that_is_said(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second, first = install(site, "second"), install(site, "first")
    assert runs.chosen() == (first,)
    said = "taking the installed captioner first; also there: second\n"
    assert capsys.readouterr().err == said
    assert runs.chosen(["second", "first"]) == (second, first)
    assert capsys.readouterr().err == ""


def test_one_that_is_installed_is_called_by_its_own_name(site: Path, tmp_path: Path) -> None:
    """All their folders are called `run`."""
    first, second = install(site, "a-first"), install(site, "b-second")
    assert runs.name_of(first) == "a-first" and runs.name_of(str(second)) == "b-second"
    assert runs.name_of(tmp_path / "mine") == "mine"
    own = tmp_path / "run"
    own.mkdir()
    assert runs.name_of(own) == "run"


def test_runs_side_by_side_have_the_shortest_names_that_differ(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs.names_of(["a/one", "b/two"]) == ("one", "two")
    assert runs.names_of(["a/run", Path("b/run"), "c"]) == ("a/run", "b/run", "c")
    every = ["x/a/run", "y/a/run", "y/b/run"]
    assert runs.names_of(every) == ("x/a/run", "y/a/run", "b/run")
    assert runs.names_of(["a/run", "./a/run/", "b/../a/run"]) == ("run",) * 3  # one folder
    assert runs.names_of(["/run", "/a/run"]) == ("/run", "a/run")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert runs.name_of(".") == "here" and runs.names_of([".", "../there"]) == ("here", "there")
    both = [install(site, "mine"), tmp_path / "mine"]
    assert runs.names_of(both) == ("mine", f"{tmp_path.name}/mine")
    assert runs.names_of([install(site, "other"), tmp_path / "run"]) == ("other", "run")


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=4), max_size=5))
def test_no_two_runs_read_alike(paths: list[list[str]]) -> None:
    names = runs.names_of(["/".join(parts) for parts in paths])
    for one, first in zip(paths, names, strict=True):
        assert f"/{'/'.join(one)}".endswith(f"/{first}") or len(first.split("/")) > len(one)
        for other, second in zip(paths, names, strict=True):
            assert (one == other) == (first == second)
        shorter = first.partition("/")[2]  # without its first part another path ends so, too
        ends = [f"/{'/'.join(other)}".endswith(f"/{shorter}") for other in paths if other != one]
        assert not shorter or any(ends)


def test_a_folder_goes_before_an_installed_name(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = install(site, "mine")
    assert runs.chosen("mine") == (folder,)
    (tmp_path / "mine").mkdir()
    assert runs.chosen("mine") == (Path("mine"),)
    assert runs.chosen(Path("neither")) == (Path("neither"),)


def test_none_says_how_to_install_one(site: Path) -> None:
    with pytest.raises(runs.NoneInstalled, match=r"pip install \./pretrained/flickr8k\), or name"):
        runs.chosen()
    with pytest.raises(RunError, match="no captioner is installed"):
        miacap.load()


@pytest.mark.parametrize("package", ["", "not_there", "elsewhere.inside"])
def test_one_that_is_not_whole_is_no_fallback_to_another(site: Path, package: str) -> None:
    folder = install(site, "broken", package="elsewhere")
    (folder / "settings.json").unlink()
    info = site / "broken-1.0.dist-info" / "entry_points.txt"
    if package:
        info.write_text(f"[{pretrained.GROUP}]\nbroken = {package}\n")
    install(site, "whole")
    with pytest.raises(RunError, match=r"captioner broken is installed, but its package .* holds"):
        runs.chosen()


def test_what_is_loaded_without_a_name_is_the_installed_run(site: Path, run: Path) -> None:  # noqa: F811
    folder = install(site, "small")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    runs.pack(run, folder)
    assert miacap.load().run.folder == folder == miacap.load("small").run.folder
