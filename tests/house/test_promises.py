"""What is promised to the outside (README, docs) holds."""

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import miacap
from miacap import runs

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


def _is_ours(value: object) -> bool:
    return inspect.isfunction(value) or inspect.ismethod(value)


def _public_functions(room: str) -> Iterator[tuple[str, Any]]:
    module = importlib.import_module(f"miacap.{room}")
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            laid = dataclasses.is_dataclass(value)
            for part, method in inspect.getmembers(value, _is_ours):
                if not part.startswith("_") or (part == "__init__" and not laid):
                    yield f"{name}.{part}", method


@pytest.mark.parametrize("room", ROOMS)
def test_whoever_takes_a_path_takes_it_as_text_too(room: str) -> None:
    for name, function in _public_functions(room):
        for parameter in inspect.signature(function).parameters.values():
            said = str(parameter.annotation)
            if re.search(r"\bPath\b|PathLike", said):
                assert "str" in said and "PathLike" in said, f"{room}.{name}: {parameter}"


def test_the_version_is_said() -> None:
    done = run("-m", "miacap", "--version")
    assert done.returncode == 0
    first, *others = done.stdout.splitlines()
    assert first == f"miacap {miacap.__version__}"
    assert others == [f"captioner {one.name} {one.version}" for one in runs.installed()]


@pytest.mark.parametrize("module", ["miacap", "miacap.text", "miacap.metrics", "miacap.cli"])
def test_light_doors_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'spacy' in sys.modules)"
    assert run("-c", code).returncode == 0


def test_metrics_import_in_half_a_second() -> None:
    code = (  # processor time: what a busy machine adds is none of the import's
        "import time; start = time.process_time(); import miacap.metrics; "
        "print(time.process_time() - start)"
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


@pytest.mark.parametrize("group", [(), ("concepts",)])
def test_what_a_list_of_verbs_says_of_each_fits(group: tuple[str, ...]) -> None:
    lines = run("-m", "miacap", *group, "--help").stdout.splitlines()
    said = lines[lines.index("Commands:") + 1 :]
    assert len(said) >= 3 and all(re.match(r"  [a-z-]+ +\S|$|  Start", line) for line in said)
    assert not [line for line in said if line.endswith("...")]


@pytest.mark.parametrize(
    ("before", "after"),
    [({}, "10000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"), ({"GOMP_SPINCOUNT": "7"}, "7")],
)
def test_threads_soon_sleep_while_they_wait_unless_the_user_says_else(
    before: dict[str, str], after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    code = (
        "import os, sys; from miacap.cli import application as a; "
        "a._invoke = lambda _: print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules); "
        "a.run()"
    )
    assert run("-c", code).stdout.split() == [after, "False"]


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


def test_comments_cite_no_page_that_is_not_here() -> None:
    """Plans and notes of those who wrote the code are not in the repository."""
    pages = {path.name for path in ROOT.rglob("*.md") if ".venv" not in path.parts}
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages.update(re.findall(r"[\w-]+\.md\b", site))  # made of other files when the site is built
    for room in ("src", "tests", "benchmarks", "examples", "results", "pretrained"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for cited in re.findall(r"[\w-]+\.md\b", path.read_text(encoding="utf-8")):
                assert cited in pages or cited in _WRITTEN, f"{path.relative_to(ROOT)}: {cited}"


_WRITTEN = {"table.md", "README.md", "nowhere.md"}
"""Pages that commands write."""
