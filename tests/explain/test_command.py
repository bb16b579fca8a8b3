"""`miacap explain`: options arrive, files are written where they are named, refusals say why."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from miacap.cli.application import app
from miacap.errors import DataError, RunError

SMALL = {"heads": 2, "inner": 12}


def invoke(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments), "--device", "cpu"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def photo(tiny: ModuleType, tmp_path: Path) -> Path:
    path = tmp_path / "a photo.png"
    tiny.PHOTO.save(path)
    return path


def test_a_line_a_word_a_page_and_all_numbers(
    tiny: ModuleType, tmp_path: Path, photo: Path
) -> None:
    run, page, numbers = tiny.run(tmp_path / "r", **SMALL), tmp_path / "p.html", tmp_path / "n.json"
    result = invoke(photo, "--run", run, "-o", page, "--json", numbers, "--credit", "Ada, CC BY",
                    "--title", "A & B", "--beam", 2)  # fmt: skip
    assert result.exit_code == 0
    record = json.loads(numbers.read_text())
    lines = result.stdout.splitlines()
    assert lines[0] == record["caption"] and lines[-1] == f"page: {page}"
    assert [line.split()[0] for line in lines[2:-1]] == [
        "(end)" if word["text"] == "<eos>" else word["text"] for word in record["words"]
    ]
    text = page.read_text(encoding="utf-8")
    assert "A &amp; B" in text and "Ada, CC BY" in text and "a photo.png" in text


def test_two_runs_and_an_ensemble(tiny: ModuleType, tmp_path: Path, photo: Path) -> None:
    one, two = tiny.run(tmp_path / "r", **SMALL), tiny.run(tmp_path / "s", seed=1, **SMALL)
    numbers = tmp_path / "n.json"
    assert invoke(photo, "--run", one, "--beside", two, "--json", numbers).exit_code == 0
    assert [record["runs"] for record in json.loads(numbers.read_text())] == [["r"], ["s"]]
    result = invoke(photo, "--run", one, "--run", two, "--json", numbers)
    assert json.loads(numbers.read_text())["runs"] == ["r", "s"]
    assert "ensemble of 2 runs" in result.stderr and "page:" not in result.stdout


def test_two_runs_of_one_folder_name_are_told_apart(
    tiny: ModuleType, tmp_path: Path, photo: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = (tiny.run(tmp_path / name / "run", **SMALL) for name in ("one", "two"))
    page, numbers = tmp_path / "p.html", tmp_path / "n.json"
    result = invoke(photo, "--run", one, "--beside", two, "-o", page, "--json", numbers)
    assert [r["runs"] for r in json.loads(numbers.read_text())] == [["one/run"], ["two/run"]]
    heads = [line for line in result.stdout.splitlines() if line.endswith("run:")]
    assert heads == ["one/run:", "two/run:"]
    heads = re.findall(r'<h2 id="name-.">(.*?)</h2>', page.read_text(encoding="utf-8"))
    assert heads == ["one/run", "two/run"]
    # One run beside itself, its search another one, say: both looks keep the name, and a number.
    result = invoke(photo, "--run", one, "--beside", one, "-o", page)
    assert [line for line in result.stdout.splitlines() if line.startswith("run (")] == [
        "run (1):", "run (2):",
    ]  # fmt: skip


def test_refusals(tiny: ModuleType, tmp_path: Path, photo: Path) -> None:
    run = tiny.run(tmp_path / "r", **SMALL)
    with pytest.raises(DataError, match="folder of miacap"):
        invoke(photo, "--run", run, "-o", run / "page.html")
    with pytest.raises(DataError, match="this command reads it"):
        invoke(photo, "--run", run, "-o", photo)
    with pytest.raises(DataError, match="no such file"):
        invoke(tmp_path / "absent.jpg", "--run", run)
    with pytest.raises(RunError, match="no run folder"):
        invoke(photo, "--run", tmp_path)


def test_the_block_of_the_docs_runs(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "explaining.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.S)
    tiny.run(tmp_path / "runs" / "combined", **SMALL)
    tiny.PHOTO.save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)
    assert "Ada Example" in names["html"]
