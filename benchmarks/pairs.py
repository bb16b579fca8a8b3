"""Two sides timed in turns, and the rows that `benchmarks/page.py` joins into one page.

Every benchmark measures ours beside a peer (what people would use otherwise) or a limit (work
that cannot be left out, such as the bare matrix products) in one run. The sides take turns, so
that whatever else the machine does hits both; CPU seconds hold on a busy machine as well.
"""

import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from miacap.files import write_json


@dataclass(frozen=True)
class Times:
    """What one side took, in the unit of its row."""

    least: float
    median: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Times":
        return cls(min(values), statistics.median(values))


@dataclass(frozen=True)
class Row:
    """A kind of work, ours beside another side.

    Attributes:
        work: what is done, with its size.
        other: the other side: a peer, or a limit.
        is_limit: whether `other` is a limit, which nothing can beat.
        unit: of the times.
        ours, theirs: the times.
        bar: what was asked of the ratio, in words; "" where nothing was.
        note: what a reader has to know, such as what is equal on both sides.
    """

    work: str
    other: str
    ours: Times
    theirs: Times
    is_limit: bool = False
    unit: str = "CPU s"
    bar: str = ""
    note: str = ""
    ratio: float = field(init=False)
    told: str = field(init=False)

    def __post_init__(self) -> None:
        # Of a peer: how many times as fast. Of a limit: how many times its cost.
        one, two = (self.ours, self.theirs) if self.is_limit else (self.theirs, self.ours)
        told = "times less" if self.unit == "MB" else "times as fast"
        object.__setattr__(self, "ratio", one.least / two.least)
        object.__setattr__(self, "told", "times the limit" if self.is_limit else told)

    def text(self) -> str:
        """One line for a terminal."""
        bar = f" (asked: {self.bar})" if self.bar else ""
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.work}{note}: {self.ours.least:.4g} {self.unit}; {self.other}: "
            f"{self.theirs.least:.4g}; {self.ratio:.2f} {self.told}{bar}"
        )


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of this process that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turns(
    sides: Mapping[str, Callable[[], Any]],
    rounds: int,
    clock: Callable[[Callable[[], Any]], float] = cpu,
) -> dict[str, Times]:
    """Time several sides in turns, after one turn each that does not count."""
    for work in sides.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        # Every second round goes backwards: no side always follows the same one.
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            taken[name].append(clock(sides[name]))
    return {name: Times.of(values) for name, values in taken.items()}


def machine() -> dict[str, Any]:
    """What ran this, and how busy it was."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "system": platform.system(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def command(arguments: Sequence[str]) -> str:
    """What was typed to run this, but for where the JSON goes."""
    kept, rest = [f"benchmarks/{Path(arguments[0]).name}"], iter(arguments[1:])
    for argument in rest:
        if argument == "--json":
            next(rest, None)
        elif not argument.startswith("--json="):
            kept.append(argument)
    return shlex.join(["python", *kept])


def save(path: Path, rows: Sequence[Row], **more: Any) -> None:
    """Print rows, and write them as JSON for `benchmarks/page.py`.

    Args:
        path: the JSON file.
        rows: what was measured.
        more: other numbers to keep beside them.
    """
    for row in rows:
        print(row.text())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "command": command(sys.argv),
            "machine": machine(),
            "rows": [asdict(row) for row in rows],
            **more,
        },
    )
