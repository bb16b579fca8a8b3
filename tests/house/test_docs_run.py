"""The commands of the docs run, word for word and in their order, on a small drawn world.

Each page in an empty folder that holds what a reader brings (docs_world.py) and what the page takes
as given (docs_pages.py, which also says how trainings are made small); docs_runner.py runs it.
What does not run is in `NOT_RUN`, with a reason.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from miacap.data import read

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
import docs_world  # noqa: E402  # beside this file; tests are no package
from docs_pages import FIRST, NO_PYTHON, NOT_RUN, PAGES, SMALL, WORDS, Page  # noqa: E402

_FENCE = re.compile(r"^( *)```([\w-]*)\n(.*?)^\1```$", re.S | re.M)
_PROGRAMS = (
    "miacap",
    "make",
    "pip",
    "python",
    "curl",
    "accelerate",
    "torchrun",
    "export",
    "echo",
    "mkdir",
    "{",
)


def file_of(page: str) -> Path:
    return ROOT / page if (ROOT / page).is_file() else ROOT / "docs" / page


def shell_lines(block: str) -> list[str]:
    """Lines of a block that somebody types, joined where they go on."""
    lines = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.split(" ")[0] in _PROGRAMS]


def steps_of(page: str) -> list[tuple[str, str]]:
    """What a page asks its reader to do, in order: ("shell", line) or ("python", block)."""
    found = []
    for _, kind, block in _FENCE.findall(file_of(page).read_text(encoding="utf-8")):
        if kind in ("", "sh", "bash"):
            found += [("shell", line) for line in shell_lines(block)]
        elif kind == "python" and page not in NO_PYTHON:
            found.append(("python", block))
    return found


def reason(page: str, line: str) -> str | None:
    """Why a line does not run; None where it does."""
    here = ((start, why) for (of, start), why in NOT_RUN.items() if of == page)
    return next((why for start, why in here if line.startswith(start)), None)


def made_small(line: str) -> str:
    """Put the options behind a training's own that make it one of seconds."""
    words = shlex.split(line, comments=True)
    for name in (words[1:3], words[1:2]):
        for verb in ((" ".join(name) + " --from",) if "--from" in words else ()) + (
            " ".join(name),
        ):
            more = SMALL.get(verb, "")
            if more and not (verb == "score" and "-m" in words) and not only_shown(words):
                return f"{line.partition('  #')[0].rstrip()} {more}"
    return line


def only_shown(words: list[str]) -> bool:
    """Whether `reproduce` lists or shows recipes and trains nothing."""
    return words[1] == "reproduce" and "-o" not in words


def named(line: str, page: Page) -> str:
    """Put names for the words that stand for them; "..." is for the reader to fill in."""
    known = {**WORDS, **page.words}
    words = [known.get(word, word) for word in line.split(" ")]
    if words[-1] == "...":
        output = f"runs/{words[1]}-filled-in"
        words[-1:] = ["--features", known["F"], "--concepts", known["C"], "-o", output]
    return " ".join(words)


def plan(page: str, wanted: Page) -> list[dict[str, Any]]:
    """The steps of a page: its lines and blocks, and what it leaves to the reader before them."""
    steps: list[dict[str, Any]] = []
    waiting = dict(wanted.before)
    for kind, text in steps_of(page):
        if kind == "python":
            steps.append({"kind": kind, "text": text})
        elif reason(page, text) is None:
            for start in [start for start in waiting if text.startswith(start)]:
                steps += [step_of(line, wanted) for line in waiting.pop(start)]
            steps.append(step_of(text, wanted))
    assert not waiting, f"{page} has no line that begins so: {list(waiting)}"
    return steps


def step_of(line: str, wanted: Page) -> dict[str, Any]:
    """One line, made small; what the docs say that it prints, where that is certain."""
    step = {"kind": "shell", "text": made_small(named(line, wanted))}
    typed = shlex.split(line, comments=True)
    if wanted.anew and "-o" in typed:
        step["anew"] = typed[typed.index("-o") + 1]
    if (said := re.search(r"  # (\w.*)$", line)) and line.startswith("miacap caption examples"):
        step["prints"] = said[1]
    return step


def go(folder: Path, steps: list[dict[str, Any]]) -> None:
    """Run steps in a folder, in one process; the failed step and what it said are the message."""
    (folder / "steps.json").write_text(json.dumps(steps))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(folder / "site")])
    done = subprocess.run(
        [sys.executable, str(HERE / "docs_runner.py"), "steps.json"], cwd=folder, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What readers bring, and what pages take as given; made once."""
    folder = tmp_path_factory.mktemp("world")
    docs_world.lay(folder)
    go(folder, [{"kind": "shell", "text": made_small(line)} for line in FIRST.values()])
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_word_for_word(page: str, world: Path, tmp_path: Path) -> None:
    given = PAGES[page].given
    for brought in docs_world.BROUGHT:
        if brought not in given:
            (tmp_path / brought).symlink_to(world / brought)
    for there, name in given.items():
        shutil.copytree(world / name, tmp_path / there)
    go(tmp_path, plan(page, PAGES[page]))


def test_every_command_is_run_or_has_a_reason() -> None:
    docs = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    known = ["README.md", "CONTRIBUTING.md", "pretrained/flickr8k/README.md", *docs]
    assert set(PAGES) | {page for page, _ in NOT_RUN} <= set(known)
    for page in known:
        for kind, text in steps_of(page):
            if kind == "shell" and page not in PAGES:
                assert reason(page, text) is not None, f"{page}: {text}"


@pytest.mark.parametrize(("page", "start"), NOT_RUN)
def test_what_is_not_run_is_still_there(page: str, start: str) -> None:
    lines = [text for kind, text in steps_of(page) if kind == "shell"]
    assert any(line.startswith(start) for line in lines), f"{page} has no line {start!r} any more"


def test_every_block_of_python_is_run_or_has_a_reason() -> None:
    pages = [*((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
    having = {p.name for p in pages if "```python" in p.read_text(encoding="utf-8")}
    assert set(NO_PYTHON) <= having, "a page that is named has no Python any more"
    assert having - set(NO_PYTHON) <= set(PAGES), "a page's Python is run nowhere"


def test_the_files_of_captions_that_pages_show_are_read(tmp_path: Path) -> None:
    text = file_of("tutorial.md").read_text(encoding="utf-8")
    (rows,) = [block for _, kind, block in _FENCE.findall(text) if kind == "json"]
    text = file_of("data.md").read_text(encoding="utf-8")
    (table,) = [block for *_, block in _FENCE.findall(text) if block.startswith("file_name,")]
    for name, content in (("metadata.jsonl", rows), ("captions.csv", table)):
        folder = tmp_path / name.partition(".")[0]
        for photo in ("beach.jpg", "dog.jpg"):
            docs_world.photo(folder / photo, 0)
        (folder / name).write_text(content, encoding="utf-8")
        dataset = read(folder)
        assert dict(dataset.captions)["dog.jpg"][0] == "A dog runs." and not dataset.set_aside


def test_options_come_last_and_one_line_stays_one() -> None:
    line = "miacap train DATA --features F --source plain --set sizes.width=512 -o runs/a"
    small = made_small(named(line, Page()))
    assert small.startswith("miacap train flickr8k --features features") and "\n" not in small
    assert small.index("sizes.width=512") < small.index("sizes.width=8")
    assert made_small("miacap reproduce att-fcn-combined") == "miacap reproduce att-fcn-combined"
    assert made_small("miacap train D --from r -o o").endswith("training.threads=1")
