"""The house drawn from its imports: rooms, and which of them import which, as Mermaid."""

import ast
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "src" / "miacap"
GROUND = (
    "errors", "settings", "files", "locks", "parts", "reading", "terminal", "progress", "memory",
    "version", "wording",
)  # fmt: skip
"""Nearly every room imports these; their arrows would hide the others."""


def imports() -> dict[str, set[str]]:
    """Which room imports which, by the code; imports of type checking alone are left out."""
    rooms = {
        path.stem
        for path in SOURCES.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__", "__main__", *GROUND}
    edges: dict[str, set[str]] = {room: set() for room in rooms}
    for room in rooms:
        folder = SOURCES / room
        files = [SOURCES / f"{room}.py"] if not folder.is_dir() else sorted(folder.rglob("*.py"))
        for file in files:
            named = _named(ast.parse(file.read_text(encoding="utf-8")))
            edges[room] |= {other for other in named if other in rooms and other != room}
    return edges


def _named(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "miacap":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("miacap."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names]
            found |= {p[1] for p in parts if p[0] == "miacap" and len(p) > 1}
    return found


def drawing() -> str:
    """A Mermaid flowchart; an arrow that a longer way implies is left out."""
    edges = imports()

    def reached(room: str) -> set[str]:
        below = set(edges[room])
        for other in edges[room]:
            below |= reached(other)
        return below

    lines = ["```mermaid", "flowchart TD"]
    for room in sorted(edges):
        for other in sorted(edges[room]):
            if not any(other in reached(between) for between in edges[room] - {other}):
                lines.append(f"    {room} --> {other}")
    return "\n".join([*lines, "```"]) + "\n"
