"""Lines that several verbs print."""

import csv
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miacap import terminal
from miacap.data.photos import LOST
from miacap.wording import counted, first_lines

if TYPE_CHECKING:
    from miacap.runs import Run

WIDTH = 80
"""Columns of what is laid out in lines."""

_REASONS = 10
_EXAMPLES = 2


def report_set_aside(set_aside: Sequence[Any]) -> None:
    """Say on standard error what was set aside: by reason, how often and two examples.

    Lost photos come first, then the most frequent reason.
    """
    if not set_aside:
        return
    terminal.tell(f"set aside: {len(set_aside)}")
    groups: dict[str, list[str]] = {}
    for item in set_aside:
        reason, detail = _reason(item)
        groups.setdefault(reason, []).append(_example(item, detail))
    reasons = sorted(groups, key=lambda reason: (reason != LOST, -len(groups[reason])))
    for reason in reasons[:_REASONS]:
        terminal.tell(f"  {reason}: {len(groups[reason])}")
        for line in first_lines(groups[reason], _EXAMPLES):
            terminal.tell(f"    {line}")
    if len(reasons) > _REASONS:
        terminal.tell(f"  and {counted(len(reasons) - _REASONS, 'other reason')}")


def _reason(item: Any) -> tuple[str, str]:
    """Give what is wrong, and what is said of this picture alone."""
    if item.reason.startswith(LOST):
        return LOST, item.reason[len(LOST) :]
    return item.reason, ""


def _example(item: Any, detail: str) -> str:
    name = f": {item.id!r}" if item.id and item.id not in item.where else ""
    return f"{item.where}{name}{detail}"


def report_warnings(warnings: Iterable[str]) -> None:
    """Say on standard error what looks wrong though it can be used."""
    for warning in warnings:
        terminal.tell(f"warning: {warning}")


def starting_run(start: Path, output: Path) -> "Run":
    """Load the run that a training begins with, and say so where its kept copy is taken."""
    from miacap import runs

    run = runs.load_start(start, output)
    if run.folder not in (start, *runs.chosen(start)):  # an installed captioner lies elsewhere
        terminal.tell(f"note: {start} is not there; this goes on with the copy in {run.folder}.")
    return run


def csv_line(cells: Iterable[Any]) -> str:
    """Give one row of CSV, without the end of its line; None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(list(cells))
    return text.getvalue()


def filled(head: str, items: Iterable[str], separator: str = ", ") -> str:
    """Set a list behind its head in lines of 80 columns; no item is broken.

    The first item always stands behind the head, which may be a long path; "-" stands for none.
    What a terminal would obey is escaped.
    """
    first, *others = [terminal.escape(item) for item in items] or ["-"]
    lines = [f"{terminal.escape(head)}: {first}"]
    end = separator.rstrip()
    for item in others:
        if len(lines[-1]) + len(separator) + len(item) + len(end) <= WIDTH:
            lines[-1] += separator + item
        else:
            lines[-1] += end
            lines.append(f"    {item}")
    return "\n".join(lines)


def paragraph(text: str, head: str = "") -> str:
    """Set a text in lines of 80 columns, broken at blanks alone; all but the first are indented.

    What a terminal would obey is escaped.
    """
    return textwrap.fill(
        terminal.escape(text),
        width=WIDTH,
        initial_indent=terminal.escape(head),
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """Lay rows out in columns, numbers to the right; plain text that survives a pipe.

    Where that takes more than 80 columns and the first cells are what is long, long ones stand on
    lines of their own, above what belongs to them. Cells may come from data: what a terminal would
    obey in them is escaped.
    """
    rows = [{name: terminal.escape(cell) for name, cell in row.items()} for row in rows]
    if not rows:
        return ""
    names = list(rows[0])
    widths = {n: max(len(n), *(len(row[n]) for row in rows)) for n in names}
    first = names[0]
    left = WIDTH - sum(2 + widths[name] for name in names[1:])
    if widths[first] > left >= len(first):
        widths[first] = max(
            len(c) for c in (first, *(row[first] for row in rows)) if len(c) <= left
        )

    def line(row: Mapping[str, str]) -> str:
        cells = [row[n].ljust(widths[n]) if n == first else row[n].rjust(widths[n]) for n in names]
        if len(row[first]) > widths[first]:
            cells[0] = f"{row[first]}\n{'':<{widths[first]}}"
        return "  ".join(cells).rstrip()

    return "\n".join([line({n: n for n in names}), *(line(row) for row in rows)])
