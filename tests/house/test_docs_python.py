"""Python in the docs runs: docs/api.md and docs/data.md whole, README's lines on a captioner."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own, in ``folder``, on one thread; warnings are errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all blocks of docs/api.md ran, one after another."""
    folder = tmp_path_factory.mktemp("api")
    done = run("\n".join(blocks("docs/api.md")), folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no-such-run: no run folder" in done.stdout
    return folder


def test_every_block_of_the_page_runs(walked: Path) -> None:
    assert len(blocks("docs/api.md")) > 14
    assert (walked / "runs" / "tiny" / "weights.safetensors").is_file()


def test_promised_names_are_in_a_block() -> None:
    text = "\n".join(blocks("docs/api.md"))
    for promised in ("miacap.load(", ".caption(", "score(references, ", "captioners.names()",
                     "captioners.build(", "MutualIterativeAttention("):  # fmt: skip
        assert promised in text, promised


def test_readmes_captioner_captions(walked: Path) -> None:
    """The demo's run is stood in for by the page's own; the scene is one that the demo draws."""
    (block,) = [b for b in blocks("README.md") if "miacap.load" in b]
    block = block.replace("demo/runs/combined", "runs/tiny").replace("demo/scenes", "scenes")
    done = run(block, walked)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(".") and len(done.stdout.splitlines()) == 1


_EXTRACT = """
from miacap.data import read
from miacap.visual import extract
extract(read("my-photos"), "features", quiet=True)
"""


def test_the_page_of_data_runs(walked: Path, tmp_path: Path) -> None:
    (tmp_path / "my-photos").mkdir()
    rows = []
    for number, (name, split) in enumerate([("dog.jpg", "train"), ("cat.jpg", "dev")]):
        shutil.copy(walked / f"scenes/scene-{number:06}.png", tmp_path / "my-photos" / name)
        rows.append(json.dumps({"file_name": name, "caption": "A dog runs.", "split": split}))
    (tmp_path / "my-photos" / "metadata.jsonl").write_text("\n".join(rows))
    found = blocks("docs/data.md")
    assert len(found) == 2
    done = run("\n".join([_EXTRACT, *found]), tmp_path)
    assert done.returncode == 0, done.stderr
