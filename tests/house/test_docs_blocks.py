"""Every other block of code in the docs: Python that runs or fits its functions, JSON, shell lines.

Lines that begin with `miacap` are test_docs_commands.py's, the pages of Python and data
test_docs_python.py's; test_docs_run.py runs the commands.
"""

import ast
import importlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "pretrained").glob("*/README.md")),
]
_FENCE = re.compile(r"^( *)```([\w-]*)\n(.*?)^\1```$", re.S | re.M)


def blocks(page: Path, *kinds: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [m[3] for m in _FENCE.finditer(text) if m[2] in kinds]


PYTHON = [(page, block) for page in PAGES for block in blocks(page, "python")]
JSON = [(page, block) for page in PAGES for block in blocks(page, "json")]
SHELL = [
    (page.name, line)
    for page in PAGES
    for block in blocks(page, "", "sh", "bash")
    for line in re.findall(r"^(?:make|pip|python) .*", block.replace("\\\n", " "), re.M)
]


def test_blocks_are_found() -> None:
    assert len(PYTHON) > 30 and len(JSON) > 5 and len(SHELL) > 6
    assert {page.name for page, _ in PYTHON} >= {"README.md", "api.md", "spice.md", "tuning.md"}


# Python


def known(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Give what a block imports, by the name that it gets there; miacap's own alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.name.partition(".")[0] == "miacap":
                    importlib.import_module(one.name)
                    yield (one.asname or "miacap"), importlib.import_module("miacap")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("miacap"):
            module = importlib.import_module(str(node.module))
            for one in node.names:
                if not hasattr(module, one.name):
                    importlib.import_module(f"{node.module}.{one.name}")
                yield (one.asname or one.name), getattr(module, one.name)


def called(function: ast.expr, names: dict[str, Any]) -> Any:
    """Give the function of ours that a call is to, or None for any other."""
    parts: list[str] = []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name) or function.id not in names:
        return None
    value = names[function.id]
    for part in reversed(parts):
        value = getattr(value, part)  # AttributeError: the docs name what is not there
    return value


def check(block: str) -> int:
    """Import what a block imports, and see that calls fit; give the number of calls."""
    tree = ast.parse(block)
    names = dict(known(tree))
    fitting = 0
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = called(node.func, names)
        if not callable(function):
            continue
        if any(isinstance(one, ast.Starred) for one in node.args):
            continue
        options = {word.arg: None for word in node.keywords if word.arg is not None}
        inspect.signature(function).bind(*node.args, **options)
        fitting += 1
    return fitting


@pytest.mark.parametrize(
    ("page", "block"),
    PYTHON,
    ids=[f"{page.name} {index}" for index, (page, _) in enumerate(PYTHON)],
)
def test_python_names_what_is_there_and_calls_fit(page: Path, block: str) -> None:
    check(block)


def test_a_name_and_an_option_that_are_not_there_are_noticed() -> None:
    assert check("import miacap\nmiacap.load('a', beam=1).caption('b')") == 1
    with pytest.raises(AttributeError):
        check("import miacap\nmiacap.lode('a')")
    with pytest.raises(ImportError):
        check("from miacap.metrics import scores_of")
    with pytest.raises(TypeError, match="unexpected keyword argument 'metric'"):
        check("from miacap.metrics import score\nscore({}, {}, metric='BLEU')")


def run(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False,
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def page(name: str) -> str:
    return "\n".join(blocks(ROOT / "docs" / name, "python"))


_METRICS = """
references = {"1": ["a dog runs"], "2": ["two cats sleep"]}
candidates, others = {"1": "a dog", "2": "two cats"}, {"1": "a dog runs", "2": "a cat"}
"""


def test_blocks_that_need_no_data_run(tmp_path: Path) -> None:
    run(
        "\n".join([page("tokenizer.md"), _METRICS, page("metrics.md"), page("recipes.md")]),
        tmp_path,
    )


@pytest.mark.slow
def test_spice_gives_what_its_page_says(tmp_path: Path) -> None:
    code = page("spice.md") + "\nassert abs(scores.corpus - 2 / 3) < 1e-9, scores.corpus\n"
    code += "assert scores.parser in scores.parser and set(scores.categories) >= {'All', 'Color'}"
    run(code, tmp_path)


_SCENES = """
import shutil
from miacap.data import draw
from pathlib import Path
for name in ("photos", "my-photos"):
    draw(name, 20, seed=1)
shutil.copy("photos/scene-000001.png", "new.jpg")
"""


@pytest.mark.slow
def test_blocks_that_look_at_photos_run_on_drawn_ones(tmp_path: Path) -> None:
    """`dog.jpg` of the pages is a scene here; its words are made up."""
    lists = {f"scene-{number:06}.png": ["dog", "grass"] for number in range(20)}
    (tmp_path / "mine.json").write_text(json.dumps(lists))
    code = "\n".join([_SCENES, page("backbones.md"), page("concepts.md")])
    run(code.replace("dog.jpg", "scene-000001.png"), tmp_path)


@pytest.mark.slow
def test_the_blocks_of_captioners_runs_on_the_example(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "own_captioner.py", tmp_path)
    begin = """
from miacap import captioners
from miacap.captioners import conformance
from own_captioner import Glance
captioners.register("glance", Glance)
"""
    run(begin + page("captioners.md"), tmp_path)


# all else


@pytest.mark.parametrize(
    ("page", "block"), JSON, ids=[f"{p.name} {i}" for i, (p, _) in enumerate(JSON)]
)
def test_json_is_json(page: Path, block: str) -> None:
    try:
        json.loads(block)
    except ValueError:  # a line for each object
        for line in block.splitlines():
            json.loads(line)


@pytest.mark.parametrize(("page", "line"), SHELL, ids=[f"{page}: {line}" for page, line in SHELL])
def test_shell_lines_name_what_is_there(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
        assert set(words[1:]) <= set(targets), line
    elif words[0] == "pip":
        assert words[1] == "install", line
        for one in words[2:]:
            _check_requirement(one)
    else:
        assert (ROOT / words[1]).is_file(), line


def _check_requirement(one: str) -> None:
    """See that a local path of a pip line is a distribution with the extras that are asked for."""
    path, _, extras = one.rstrip("]").partition("[")
    if not path.startswith("./"):
        return  # a package of a registry
    inside = path.removeprefix("./")  # ./miacap is the checkout, seen from beside it
    place = ROOT / inside.removeprefix("miacap").lstrip("/")
    told = tomllib.loads((place / "pyproject.toml").read_text())["project"]
    for extra in filter(None, extras.split(",")):
        assert extra in told["optional-dependencies"], one
