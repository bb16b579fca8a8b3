"""The captioner of examples/ as a package that somebody installs: named, trained, loaded again."""

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from miacap import captioners, runs
from miacap.errors import UnknownName

from .conftest import MadeUp, settings, train

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``pip install ./examples`` lays: the module, and the entry points of its project."""
    shutil.copy(EXAMPLES / "own_captioner.py", tmp_path)
    project = tomllib.loads((EXAMPLES / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {where}" for name, where in points.items())]
    (told / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_captioner", raising=False)


def test_it_is_not_known_before() -> None:
    assert "glance" not in captioners.names()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("source", ["plain", "combined"])
def test_it_is_trained_and_captions(made_up: MadeUp, tmp_path: Path, source: str) -> None:
    assert "glance" in captioners.names()
    folder = train(made_up, tmp_path / "run", replace(settings("nic", source), captioner="glance"))
    run = runs.load(folder)
    assert type(run.captioner()).__module__ == "own_captioner"
    assert (folder / "extractor.safetensors").is_file() == (source == "combined")


def test_a_run_folder_says_its_name_and_never_what_to_import(
    made_up: MadeUp, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue("installed")
    folder = train(made_up, tmp_path / "run", replace(settings("nic", "plain"), captioner="glance"))
    assert "own_captioner" not in "".join(
        path.read_text(encoding="utf-8") for path in folder.glob("*.json")
    )
    monkeypatch.setattr(captioners.registry, "_entry_points", dict)
    with pytest.raises(UnknownName, match="No captioner named 'glance'"):
        runs.load(folder).captioner()


@pytest.mark.slow
def test_pip_installs_it_and_miacap_knows_it(tmp_path: Path) -> None:
    where = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(where)]
    subprocess.run([*pip, str(EXAMPLES)], check=True, capture_output=True, text=True)
    told = "from miacap import captioners; print(captioners.build('glance', 'plain', words=9))"
    seen = subprocess.run(
        [sys.executable, "-c", told],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(where), str(ROOT / "src")])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.startswith("Glance(")
