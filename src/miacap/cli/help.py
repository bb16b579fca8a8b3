"""How `--help` shows a verb: names in capitals, no types of Python.

Options that may be repeated say so.
The parser's own help differs from version to version and shows what a Python programmer calls a
value (`<list[Path]>`, `0<=x<=9007199254740991`).
"""

import enum
import inspect
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from miacap import parts
from miacap.cli import interruption

ORDER = (
    "demo", "features", "concepts", "train", "tune", "evaluate", "caption", "explain", "figure",
    "score", "judge", "tokenize", "runs", "reproduce",
)  # fmt: skip
"""Verbs in the order in which one uses them; others follow."""

SHARED = frozenset({"train", "tune", "features", "evaluate", "caption"})
"""Verbs whose work several processes share that were launched together."""

_USAGE_ERROR: Any = typer.BadParameter.__base__
_FOLDERS = ("concepts", "features", "output", "photos", "run")
_WORDS = {int: "NUMBER", float: "NUMBER", str: "NAME", Path: "FILE"}


class Verb(TyperCommand):
    """A command whose help says what to type.

    Attributes:
        further: commands that take over where the first argument is their name; anything else is
            the verb's own, and a folder of that name is reached as ./NAME.
        advice: what to say of them where there are too many arguments.
    """

    further: ClassVar[Mapping[str, TyperCommand]] = {}
    advice: ClassVar[str] = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            _word(parameter, self.callback)

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse arguments, those of a further command where the first is its name."""
        if args and args[0] in self.further:
            name = args[0]
            return self.further[name].make_context(f"{info_name} {name}", args[1:], parent, **extra)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except _USAGE_ERROR as error:
            if self.advice and "extra argument" in error.message:
                error.message += f". {self.advice}"
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the verb. Raises RunError where it is the work of one process, and several run."""
        if ctx.command_path.partition(" ")[2] not in SHARED:
            parts.require_alone(f"`{ctx.command_path}`")
        interruption.verb_begins()
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Give "[OPTIONS]" and the arguments: DATA, [RECIPE], PHOTO..."""
        arguments = [p for p in self.get_params(ctx) if not _is_option(p)]
        return ["[OPTIONS]", *(_in_usage(parameter) for parameter in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List arguments, then options, each with its default."""
        parameters = self.get_params(ctx)
        for title, options in (("Arguments", False), ("Options", True)):
            rows = [(_left(p), _right(p)) for p in parameters if _is_option(p) == options]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        if self.further:
            with formatter.section("Further commands"):
                formatter.write_dl(
                    [(f"{self.name} {n}", c.short_help) for n, c in self.further.items()]
                )


def with_further(said: str, **commands: typer.Typer) -> type[Verb]:
    """Give a verb that others stand behind, each the only command of an application.

    Args:
        said: what to say of them where the verb got too many arguments.
        commands: by name.
    """

    class WithFurther(Verb):
        advice: ClassVar[str] = said
        further: ClassVar[Mapping[str, Any]] = {
            name: typer.main.get_command(application) for name, application in commands.items()
        }

    return WithFurther


class Verbs(TyperGroup):
    """A group whose verbs are listed in the order of use."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Give the names of the verbs."""
        positions = {name: index for index, name in enumerate(ORDER)}
        return sorted(
            super().list_commands(ctx), key=lambda name: positions.get(name, len(positions))
        )


def _word(parameter: Any, callback: Any) -> None:
    """Give a parameter the word that stands for its value, and say where it may be repeated."""
    if not _is_option(parameter):
        parameter.metavar = parameter.metavar or parameter.name.upper()
    elif not parameter.metavar and not parameter.is_flag:
        parameter.metavar = _metavar(parameter.name, callback)
    if _is_option(parameter) and parameter.multiple and "repeat" not in parameter.help:
        parameter.help = parameter.help.rstrip(".") + "; may be repeated."


def _metavar(name: str, callback: Any) -> str:
    hint = typing.get_type_hints(inspect.unwrap(callback)).get(name)
    kinds = [hint, *typing.get_args(hint)]
    kinds += [inner for kind in kinds for inner in typing.get_args(kind)]  # list[Path] | None
    if Path in kinds and name in _FOLDERS:
        return name.upper()
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return "|".join(str(member.value) for member in kind)
        if kind in _WORDS:
            return _WORDS[kind]
    return name.upper()


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


def _in_usage(parameter: Any) -> str:
    several = "..." if parameter.nargs != 1 else ""
    shown = parameter.metavar + several
    return shown if parameter.required else f"[{shown}]"


def _left(parameter: Any) -> str:
    if not _is_option(parameter):
        return str(parameter.metavar) + ("..." if parameter.nargs != 1 else "")
    names: Sequence[str] = sorted(parameter.opts, key=len)
    shown = ", ".join(names)
    return shown if parameter.is_flag else f"{shown} {parameter.metavar}"


def _right(parameter: Any) -> str:
    text = parameter.help or ""
    default = parameter.default
    if parameter.required:
        return f"{text}  [required]"
    if isinstance(default, str | int | Path) and not isinstance(default, bool):
        return f"{text}  [default: {getattr(default, 'value', default)}]"
    return text
