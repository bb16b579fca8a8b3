"""What is promised to the outside (README, docs) holds."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import miacap

ROOT = Path(__file__).resolve().parents[2]
ROOMS = sorted(
    path.name.removesuffix(".py")
    for path in (ROOT / "src" / "miacap").iterdir()
    if (path.is_dir() and (path / "__init__.py").exists()) or path.name == "pictures.py"
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_every_room_says_what_it_is_for_and_what_it_offers() -> None:
    for room in ROOMS:
        module = __import__(f"miacap.{room}", fromlist=["x"])
        assert module.__doc__ and len(module.__doc__) > 60, room
        assert module.__all__, room
        for name in module.__all__:
            assert getattr(module, name) is not None, f"{room}.{name}"


def test_the_version_is_said() -> None:
    done = run("-m", "miacap", "--version")
    assert done.returncode == 0
    assert done.stdout.strip() == f"miacap {miacap.__version__}"


@pytest.mark.parametrize("module", ["miacap", "miacap.text", "miacap.metrics", "miacap.cli"])
def test_light_doors_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'spacy' in sys.modules)"
    assert run("-c", code).returncode == 0


def test_metrics_import_in_half_a_second() -> None:
    code = (
        "import time; start = time.perf_counter(); import miacap.metrics; "
        "print(time.perf_counter() - start)"
    )
    assert min(float(run("-c", code).stdout) for _ in range(5)) < 0.5


def test_help_of_every_verb_fits_80_columns_and_needs_no_torch() -> None:
    start = time.perf_counter()
    done = run("-m", "miacap", "--help")
    assert done.returncode == 0 and time.perf_counter() - start < 10
    verbs = re.findall(r"^  ([a-z]+)  ", done.stdout, re.M)
    assert {"demo", "features", "train", "evaluate", "caption", "score", "tokenize"} <= set(verbs)
    for verb in verbs:
        shown = run("-m", "miacap", verb, "--help")
        assert shown.returncode == 0, shown.stderr
        assert max(map(len, shown.stdout.splitlines())) <= 80, verb


def test_a_wrong_option_is_a_usage_error() -> None:
    assert run("-m", "miacap", "tokenize").returncode == 2
    assert run("-m", "miacap", "no-such-verb").returncode == 2


def test_readme_code_runs() -> None:
    """The Python blocks of README that need no trained run do what they say."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    ran = 0
    for block in blocks:
        if "miacap.load" in block:
            continue
        done = run("-c", block)
        assert done.returncode == 0, done.stderr
        ran += 1
    assert ran == 2
