"""The files of examples/ are short, are told of in the docs, and run."""

import os
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from miacap import captioning, visual
from miacap.data import read, scenes
from miacap.metrics import score
from miacap.runs import RunSettings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
FILES = sorted(path.name for path in EXAMPLES.glob("*.py"))


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> dict[str, Any]:
    """Run an example as `python examples/NAME ARGUMENTS` does, without another start of torch."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    return runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.mark.parametrize("name", FILES)
def test_an_example_is_short_and_told_of(name: str) -> None:
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) < 40
    assert f"](../examples/{name})" in (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")


def test_the_page_tells_of_no_other_file() -> None:
    text = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"examples/(\w+\.py)\)", text))) == FILES


def printed(code: str) -> list[str]:
    """Run code in a process of its own, with warnings as errors; give the lines that it prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_metrics_alone_prints_what_score_gives_and_loads_no_torch() -> None:
    path = str(EXAMPLES / "metrics_alone.py")
    code = f"import runpy, sys; runpy.run_path({path!r}); print('torch' in sys.modules)"
    lines = printed(code)
    made = runpy.run_path(path)
    scores = score(made["references"], made["ours"], ["CIDEr-D"])
    assert lines[2].startswith(f"CIDEr-D: {scores['CIDEr-D']:.3f} and ")
    assert f"dog.jpg: CIDEr-D {scores.per_picture['CIDEr-D'][0]:.2f}" in lines
    assert lines[-1] == "False"


def test_the_refiner_answers_what_the_sum_of_two_sets_does_not() -> None:
    """In a process of its own: here shapes are checked at each call, ten times as slow."""
    path = str(EXAMPLES / "refiner_in_a_classifier.py")
    out = "\n".join(printed(f"import runpy; runpy.run_path({path!r}, run_name='__main__')"))
    plain, refined = (int(n) for n in re.findall(r"refined=\w+: (\d+)% right", out))
    assert 40 < plain < 60 and refined > 95


def test_its_question_has_two_answers_of_the_same_share_and_one_marked_row_in_each_set() -> None:
    made = runpy.run_path(str(EXAMPLES / "refiner_in_a_classifier.py"))
    first, second, answer = made["drawn"](1000)
    for rows, other in zip(first[:50], second[:50], strict=True):
        assert rows[:, 2].sum() == other[:, 2].sum() == 1
    told = [s[torch.arange(1000), s[..., 2].argmax(1), 1] for s in (first, second)]
    assert torch.equal((told[0] == told[1]).long(), answer)
    assert 0.4 < answer.float().mean() < 0.6


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run, `run`, and the scenes that it learned from, `scenes`."""
    root = tmp_path_factory.mktemp("tiny")
    scenes.draw(root / "scenes", 12, seed=3)
    dataset = read(root / "scenes")
    regions = visual.extract(dataset, root / "features", backbone="efficientnet-lite0", quiet=True)
    settings = RunSettings("nic", "plain", sizes={"width": 16}, minimum_count=1)
    settings = replace(settings, training=replace(settings.training, epochs=1, threads=1))
    captioning.train(dataset, regions, root / "run", settings, quiet=True)
    return root


def test_captions_from_python(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, broken = tiny / "scenes" / "scene-000000.png", tiny / "broken.png"
    broken.write_bytes(b"no photo")
    run(monkeypatch, "captions_from_python.py", tiny / "run", photo, broken)
    (row,) = captioning.load(tiny / "run").rows([photo])
    printed = capsys.readouterr()
    caption, line = printed.out.splitlines()
    assert caption == row.caption
    assert line == f"{photo}\t{row.caption}\t{row.log_probability:.2f}"
    assert printed.err.startswith(f"{broken}: ") and len(printed.err.splitlines()) == 1


def test_captions_without_a_run_end_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="no-run: no run folder") as end:
        run(monkeypatch, "captions_from_python.py", tmp_path / "no-run", tmp_path / "a.png")
    assert "\n" not in str(end.value.code)
