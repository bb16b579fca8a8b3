"""Lines that several verbs print."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from miacap import terminal
from miacap.wording import first_lines

_LISTED = 10


def report_set_aside(set_aside: Sequence[Any]) -> None:
    """Say on standard error what was set aside: how many, and the first few with reasons."""
    if not set_aside:
        return
    terminal.tell(f"set aside: {len(set_aside)}")
    for line in first_lines(map(_told, set_aside), _LISTED):
        terminal.tell(f"  {line}")


def _told(item: Any) -> str:
    name = f" {item.id!r}:" if item.id and item.id not in item.where else ""
    return f"{item.where}:{name} {item.reason}"


def report_warnings(warnings: Iterable[str]) -> None:
    """Say on standard error what looks wrong though it can be used."""
    for warning in warnings:
        terminal.tell(f"warning: {warning}")


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """Lay rows out in columns, numbers to the right; plain text that survives a pipe.

    Cells may come from data: what a terminal would obey in them is escaped.
    """
    rows = [{name: terminal.escape(cell) for name, cell in row.items()} for row in rows]
    if not rows:
        return ""
    names = list(rows[0])
    widths = {n: max(len(n), *(len(row[n]) for row in rows)) for n in names}
    first = names[0]

    def line(row: Mapping[str, str]) -> str:
        cells = [row[n].ljust(widths[n]) if n == first else row[n].rjust(widths[n]) for n in names]
        return "  ".join(cells).rstrip()

    return "\n".join([line({n: n for n in names}), *(line(row) for row in rows)])
