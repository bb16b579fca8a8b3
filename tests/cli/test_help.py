"""Help speaks to people: capitals for what is to be filled in, no types of Python."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from miacap.cli.application import app
from miacap.cli.help import ORDER

ROOT: Any = typer.main.get_command(app)


def every_command() -> Iterator[tuple[str, Any, Any]]:
    context = ROOT.make_context("miacap", ["x"], resilient_parsing=True)
    for name, command in ROOT.commands.items():
        inner = getattr(command, "commands", None)
        further = {f"{name} {n}": c for n, c in getattr(command, "further", {}).items()}
        own = {name: command} | further
        parts = own if inner is None else {f"{name} {n}": c for n, c in inner.items()}
        for full, verb in parts.items():
            made = verb.make_context(full, [], parent=context, resilient_parsing=True)
            yield full, verb, made


COMMANDS = list(every_command())
LEAKS = re.compile(
    r"<[a-z]|\brange\b|x<|x>|<=|>=|\blist\[|\bPath\b|\bint\b|\bstr\b|INTEGER|TEXT|\{[a-z]"
)


@pytest.mark.parametrize(("name", "verb", "context"), COMMANDS, ids=[c[0] for c in COMMANDS])
def test_help_has_no_types_and_capitals_for_values(name: str, verb: Any, context: Any) -> None:
    text = verb.get_help(context)
    usage = text.splitlines()[0]
    assert usage.startswith(f"Usage: miacap {name} [OPTIONS]")
    assert not LEAKS.search(text.replace(verb.help.splitlines()[0], "")), text
    arguments = usage.partition("[OPTIONS]")[2]
    assert arguments == arguments.upper()
    for parameter in verb.params:
        if parameter.param_type_name == "argument":
            assert parameter.name.upper() in arguments
        elif not parameter.is_flag:
            options = text.partition("\nOptions:")[2]
            shown = re.search(rf"{re.escape(max(parameter.opts, key=len))} (\S+)", options)
            assert shown is not None and shown[1] == parameter.metavar, parameter.opts
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("name", "verb", "context"), COMMANDS, ids=[c[0] for c in COMMANDS])
def test_what_may_be_repeated_says_so(name: str, verb: Any, context: Any) -> None:
    for parameter in verb.params:
        if parameter.param_type_name == "option":
            assert ("repeat" in parameter.help) == parameter.multiple, parameter.opts


def test_sets_say_where_settings_are_listed() -> None:
    helps = [p.help for _, verb, _ in COMMANDS for p in verb.params if p.name == "sets"]
    assert len(helps) > 2 and all("docs/cli.md" in text for text in helps)


def test_verbs_stand_in_the_order_of_use() -> None:
    context = ROOT.make_context("miacap", ["x"], resilient_parsing=True)
    names = ROOT.list_commands(context)
    assert names[: len(ORDER)] == list(ORDER)
    assert names.index("features") + 1 == names.index("concepts") == names.index("train") - 1


@pytest.mark.parametrize(("name", "verb", "context"), COMMANDS, ids=[c[0] for c in COMMANDS])
def test_each_example_has_a_line_of_its_own(name: str, verb: Any, context: Any) -> None:
    for paragraph in verb.get_help(context).split("\n\n"):
        if ": miacap " in paragraph:
            assert paragraph.count(": miacap ") == 1, paragraph


def test_photos_none_is_offered_where_photos_are_not_needed() -> None:
    offers = {
        name
        for name, verb, _ in COMMANDS
        for parameter in verb.params
        if parameter.name == "photos" and "none:" in parameter.help
    }
    assert offers == {
        "train",
        "evaluate",
        "reproduce",
        "figure iterations",
        "concepts train",
        "concepts read",
    }
