"""Nothing but `miacap.terminal` writes to standard output or standard error."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "miacap"
FILES = sorted(SOURCE.rglob("*.py"))

ALLOWED = {
    "terminal.py": None,  # the one place
    "locks.py": {"os.write"},  # who holds a lock, into its file
    "progress.py": {
        "sys.stderr",
        "Console",
        "print",
    },  # is it a terminal? and the bar, which is given
    # escaped text alone (tests/ground/test_progress.py)
    "cli/application.py": {"sys.stdout"},  # set to write what its encoding lacks as escapes
    "cli/interruption.py": {"sys.stdout", "os.write"},  # flushed, and one fixed sentence
}
PRINTING = {
    "print", "echo", "secho", "pprint", "Console", "print_exc", "print_exception",
    "print_stack", "breakpoint", "StreamHandler", "basicConfig",
}  # fmt: skip


def ways_out(tree: ast.AST) -> Iterator[str]:
    """Every way in which a file could print."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if dotted in ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"):
                yield dotted
            if dotted in ("os.write", "os.system"):
                yield dotted
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name in PRINTING:
                yield name
        if isinstance(node, ast.ImportFrom) and node.module == "sys":
            yield f"sys.{'/'.join(name.name for name in node.names)}"


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(SOURCE)) for f in FILES])
def test_a_file_prints_through_the_one_place(file: Path) -> None:
    allowed = ALLOWED.get(file.relative_to(SOURCE).as_posix(), set())
    if allowed is not None:
        found = set(ways_out(ast.parse(file.read_text(encoding="utf-8"))))
        assert found <= allowed, f"print with miacap.terminal instead of {found - allowed}"


@pytest.mark.parametrize(
    "text",
    [
        "print(1)", "typer.echo(1)", "x = sys.stderr", "from sys import stdout", "os.write(1, b)",
        "rich.print(1)", "traceback.print_exc()", "click.secho(1)",
        "Console().log(1)", "logging.basicConfig()",
    ],
)  # fmt: skip
def test_the_search_finds_them(text: str) -> None:
    assert list(ways_out(ast.parse(text)))
