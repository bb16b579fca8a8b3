"""Tables in the docs that are made from the code: options, settings, public names.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Where one has fallen behind
the code, `make docs` makes all of them anew.
"""

import ast
import dataclasses
import functools
import importlib
import inspect
import json
import re
import sys
import textwrap
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

sys.path.insert(0, str(Path(__file__).parent))
from drawing import drawing  # beside this file; tests are no package

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(ROOT / "docs" / name for name in ("cli.md", "api.md", "architecture.md"))
ROOMS = sorted(
    path.stem
    for path in (ROOT / "src" / "miacap").iterdir()
    if path.name in ("pictures.py", "refiner.py")
    or ((path / "__init__.py").exists() and path.name != "cli")
)
_TABLE = re.compile(r"(<!-- table: (.+?) -->\n)(.*?)(<!-- end -->)", re.S)


# options


@functools.cache
def commands() -> dict[str, Any]:
    """Every command that does something, by what is typed: "concepts train"."""
    from miacap.cli.application import app

    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        further = {f"{name} {n}": c for n, c in getattr(command, "further", {}).items()}
        own = {name: command} | further
        found |= own if inner is None else {f"{name} {n}": c for n, c in inner.items()}
    return found


def options_table(verb: str) -> str:
    """Arguments and options of a verb in the order and words of its help."""
    rows = []
    for parameter in commands()[verb].params:
        option = parameter.opts[0].startswith("-")
        # A short form stands behind the long one.
        names = sorted(parameter.opts, key=len, reverse=True)
        shown = ", ".join(f"`{name if option else name.upper()}`" for name in names)
        notes = [parameter.help or ""]
        if parameter.required:
            notes.append("Required.")
        elif isinstance(value := parameter.default, str | int | Path) and value is not False:
            notes.append(f"Default: `{getattr(value, 'value', value)}`.")
        rows.append((shown, " ".join(notes)))
    return markdown(("argument or option", "what"), rows)


# settings


def settings_table(path: str) -> str:
    """Settings as typed behind ``--set``, with defaults and what their source says of them.

    ``path`` is MODULE.CLASS, then perhaps a prefix: the fields that they have there.
    """
    rows = [
        (f"`{prefixed}`", shown(value), says)
        for prefixed, value, says in _settings(path)
        if prefixed.rpartition(".")[2] not in _CHOSEN_ELSEWHERE
    ]
    return markdown(("setting", "default", "what"), rows)


def changed_table(path: str) -> str:
    """Those training settings that start from another value than a captioner's."""
    usual = {name: value for name, value, _ in _settings("miacap.runs.RunSettings training")}
    return markdown(
        ("setting", "default here"),
        [(f"`{name}`", shown(value)) for name, value, _ in _settings(path) if value != usual[name]],
    )


_CHOSEN_ELSEWHERE = (
    "format",
    "captioner",
    "source",
    "region_width",
    "start",
    "tuning",
    "word_vectors",
)
"""By options, by the data, or by nobody."""


def _settings(path: str) -> Iterator[tuple[str, Any, str]]:
    where, _, prefix = path.partition(" ")
    module, _, name = where.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    required = {"name": "nic", "words": 5} if prefix == "sizes" else {}
    settings = cls(**required)
    if not required and prefix:
        settings = getattr(settings, prefix, settings)  # a function gives what lies there alone
    hints = typing.get_type_hints(type(settings))
    says: dict[str, str] = {}
    for base in reversed(type(settings).__mro__):
        if dataclasses.is_dataclass(base):
            says |= dict(_said_of_fields(base))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in required or dataclasses.is_dataclass(value) or isinstance(value, dict):
            continue
        said = [says.get(field.name, ""), _choices(hints[field.name])]
        dotted = f"{prefix}.{field.name}" if prefix else field.name
        yield dotted, value, " ".join(filter(None, said))


def _choices(hint: Any) -> str:
    if typing.get_origin(hint) is not typing.Literal:
        return ""
    return "One of " + ", ".join(f"`{choice}`" for choice in typing.get_args(hint)) + "."


def shown(value: object) -> str:
    """A value as it is typed behind ``=``."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value)
    return f"`{value if isinstance(value, str) else text}`"


def _said_of_fields(cls: type) -> Iterator[tuple[str, str]]:
    return _said_in(ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0])


def _said_in(tree: Any) -> Iterator[tuple[str, str]]:
    """Names that are assigned and the string that stands below each."""
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        says = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(targets[0], ast.Name) and says:
            yield targets[0].id, one_line(after.value.value)


# public names


def names_table(module: str) -> str:
    """What a module offers, each with the first sentence of its docstring."""
    offered = importlib.import_module(module)
    rows = []
    for name in sorted(offered.__all__, key=str.lower):
        value = getattr(offered, name)
        documented = inspect.isclass(value) or inspect.isfunction(value) or inspect.ismodule(value)
        says = inspect.getdoc(value) if documented else _said_of_constant(offered, name, value)
        rows.append((f"`{name}`{signature(value)}", first_sentence(says or "")))
    return markdown(("name", "what it is"), rows)


def signature(value: object) -> str:
    """Names of a function's arguments, those with a default marked by ``=``."""
    if not inspect.isfunction(value):
        return ""
    shown = []
    stars: dict[object, str] = {
        inspect.Parameter.VAR_KEYWORD: "**",
        inspect.Parameter.VAR_POSITIONAL: "*",
    }
    for parameter in inspect.signature(value).parameters.values():
        star = stars.get(parameter.kind, "")
        optional = parameter.default is not parameter.empty
        shown.append(f"{star}{parameter.name}{'=' if optional else ''}")
    return f" `({', '.join(shown)})`"


def _said_of_constant(offered: Any, name: str, value: object) -> str:
    """The string below a constant where it is laid, else its value."""
    sources = [offered, *(getattr(offered, n) for n in dir(offered))]
    for module in {id(m): m for m in sources if inspect.ismodule(m)}.values():
        if module.__name__.startswith("miacap"):
            says = dict(_said_in(ast.parse(inspect.getsource(module)))).get(name)
            if says:
                return says
    text = repr(value)
    return f"`{text}`" if len(text) < 120 and "`" not in text else f"A {type(value).__name__}."


# layout


def one_line(text: str) -> str:
    """One line of Markdown."""
    return " ".join(text.split()).replace("``", "`")


def first_sentence(text: str) -> str:
    return one_line(text.split("\n\n")[0])


def markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; bars, and stars outside of code, are shown as they are."""
    lines = [head, tuple("---" for _ in head)]
    lines += [tuple(escaped(cell) for cell in row) for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escaped(cell: str) -> str:
    parts = cell.replace("|", "\\|").split("`")
    return "`".join(p if place % 2 else p.replace("*", "\\*") for place, p in enumerate(parts))


def made(name: str) -> str:
    """Make the table of a name: ``options VERB``, ``settings CLASS`` or ``names MODULE``."""
    kind, _, what = name.partition(" ")
    makers = {
        "drawing": lambda _: drawing(),
        "options": options_table,
        "settings": settings_table,
        "changed": changed_table,
        "names": names_table,
    }
    return makers[kind](what)


def tables() -> list[tuple[Path, str, str]]:
    found = []
    for page in PAGES:
        for match in _TABLE.finditer(page.read_text(encoding="utf-8")):
            found.append((page, match[2], match[3]))
    return found


TABLES = tables()


@pytest.mark.parametrize(("page", "name", "text"), TABLES, ids=[name for _, name, _ in TABLES])
def test_a_table_says_what_the_code_says(page: Path, name: str, text: str) -> None:
    assert text == made(name), f"{page.name} has fallen behind the code: make docs"


def test_every_verb_has_a_table() -> None:
    shown = {name for _, name, _ in TABLES}
    assert {f"options {verb}" for verb in commands()} <= shown


def test_every_room_has_a_table() -> None:
    shown = {name for _, name, _ in TABLES}
    assert {"names miacap", *(f"names miacap.{room}" for room in ROOMS)} <= shown


def test_every_public_name_and_option_says_what_it_is() -> None:
    for _, name, text in TABLES:
        if name.startswith("settings") or name == "drawing":
            continue  # a setting's name and default may say enough
        for line in text.splitlines()[2:]:
            assert line.rstrip("| ").count("|") > 1, f"{name}: nothing is said in {line}"


def rewrite() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(_TABLE.sub(lambda m: m[1] + made(m[2]) + m[4], text), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
