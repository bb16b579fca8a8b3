"""Commands and links in the docs: the command line takes each one, and each file is there."""

import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from miacap import captioners
from miacap.captioners import registry
from miacap.cli.application import app
from miacap.concepts import ConceptSettings, JoinSettings, TuneSettings, ZeroShotSettings
from miacap.experiments import recipe
from miacap.runs import BackboneTuning, RunSettings
from miacap.settings import override

ROOT = Path(__file__).resolve().parents[2]
GROUP: Any = typer.main.get_command(app)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.S | re.M)
_INLINE = re.compile(r"`(miacap [a-z][^`]*)`")


def commands_in(text: str) -> list[str]:
    """Lines of code that start with ``miacap`` or pipe into it, joined where they go on."""
    fenced = [m[3] for m in _FENCE.finditer(text) if m[2] in ("", "sh", "bash")]
    indented = re.findall(r"^    .*\n", _FENCE.sub("", text), re.M)
    lines = "".join([*fenced, *indented]).replace("\\\n", " ").splitlines()
    return [c for line in lines for c in re.findall(r"(?:^ *|\| )(miacap .*)", line)]


COMMANDS = [
    (page.name, command)
    for page in PAGES
    for command in commands_in(page.read_text(encoding="utf-8"))
]


def parsed(command: str) -> tuple[str, dict[str, Any]]:
    """Parse a documented command as the shell and the command line would, without running it."""
    words = shlex.split(command, comments=True)[1:]
    if ">" in words:
        words = words[: words.index(">")]
    name = words.pop(0)
    verb = GROUP.commands[name]
    if hasattr(verb, "commands"):
        verb = verb.commands[words.pop(0)]
    if words and words[0] in getattr(verb, "further", {}):
        verb = verb.further[words.pop(0)]
    if "..." in words:  # the rest is left to the reader
        words.remove("...")
        for parameter in verb.params:
            if parameter.required and parameter.opts[0].startswith("-"):
                words += [parameter.opts[0], "X"]
    return name, verb.make_context(name, words).params


@pytest.fixture(autouse=True)
def the_example_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "own_captioner.py"))
    monkeypatch.setattr(registry, "_registered", {"glance": example["Glance"]})


@pytest.mark.parametrize(
    ("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS]
)
def test_the_command_line_takes_a_documented_command(page: str, command: str) -> None:
    name, given = parsed(command)
    sets = given.get("sets") or ()
    if name == "train":
        named = {key: given[key] for key in ("captioner", "source") if given[key] is not None}
        run = RunSettings(**named)
        run = override(run, sets)
        assert run.source in captioners.sources(run.captioner)
        captioners.sizes(run.captioner, run.source, **run.sizes)
    elif name == "tune":
        override(RunSettings(tuning=BackboneTuning()) if given["start"] else TuneSettings(), sets)
    elif name == "concepts" and "data" in given:
        kinds = {"join": JoinSettings, "zero-shot": ZeroShotSettings}
        override(kinds.get(command.split()[2], ConceptSettings)(), sets)
    elif name == "reproduce" and given["recipe"] is not None:
        override(recipe(given["recipe"], given["small"]).settings, sets)


def test_commands_are_found() -> None:
    pages = {page for page, _ in COMMANDS}
    assert {"cli.md", "tutorial.md", "metrics.md", "recipes.md"} <= pages and len(COMMANDS) > 40


def test_an_option_that_is_not_there_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option: --nope"):
        parsed("miacap score a.json b.json --nope")


def test_verbs_and_options_named_in_sentences_exist() -> None:
    known = {o for c in GROUP.commands.values() for p in c.params for o in p.opts}
    for below in ("commands", "further"):
        inner = [c for v in GROUP.commands.values() for c in getattr(v, below, {}).values()]
        known |= {o for c in inner for p in c.params for o in p.opts}
    known |= {"--help", "--version"}
    for page in PAGES:
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for command in _INLINE.findall(text):
            verb = command.split()[1]
            assert verb in GROUP.commands, f"{page.name}: {command}"
            for option in re.findall(r"(?<![\w-])--[a-z-]+", command):
                assert option in known, f"{page.name}: {command}"


def test_each_verb_has_an_example_under_its_heading() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name, verb in GROUP.commands.items():
        further = [f"{name} {n}" for n in getattr(verb, "further", {})]
        for full in [f"{name} {n}" for n in getattr(verb, "commands", {})] or [name, *further]:
            section = re.search(rf"^## {full}\n(.*?)(?=^## )", text, re.S | re.M)
            assert section is not None, f"cli.md has no section of {full}"
            assert any(c.startswith(f"miacap {full}") or f"| miacap {full}" in c
                       for c in commands_in(section[1])), full  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name) if name else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor:
            heads = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in anchors, f"{page.name} links to {target}"


def test_the_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in text, page.name
