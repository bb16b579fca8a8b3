"""Progress on standard error: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from miacap import parts, terminal
from miacap.wording import by_number, duration, singular

if TYPE_CHECKING:
    from rich.progress import BarColumn
    from rich.progress import Progress as Bar

_SECONDS_BETWEEN_LINES = 15.0
_NARROW = 8
"""Columns of a bar beside which much is told, so that 80 are enough for all."""


class Progress:
    """Count work and show rate and time left.

    Args:
        label: what is being done, in a few words.
        total: how many items there are, or None where nobody knows.
        unit: plural noun of the items.
        quiet: show nothing.
    """

    def __init__(
        self, label: str, total: int | None = None, unit: str = "items", quiet: bool = False
    ) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.quiet = quiet or not parts.speaks()
        self.done = 0
        self._speed, self._more = "", ""
        self._bar: Bar | None = None
        self._task: Any = None
        self._start = self._last = time.monotonic()

    def __enter__(self) -> "Progress":
        self._start = self._last = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            self._bar, self._wide = _bar()
            label = terminal.escape(self.label)
            self._task = self._bar.add_task(label, total=self.total, rate="", more="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None:
            self._line(final=True)

    def advance(self, n: int = 1, speed: str = "", more: str = "") -> None:
        """Count `n` more items.

        Args:
            n: how many.
            speed: shown in place of items a second.
            more: shown at the end.
        """
        self.done += n
        self._speed, self._more = speed, more
        if self._bar is not None:
            rate = speed or f"{self._rate():.1f} {self.unit}/s"
            if more:
                self._wide.bar_width = _NARROW
            self._bar.update(self._task, advance=n, rate=rate, more=more)
        elif time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._line()

    def note(self, text: str) -> None:
        """Say one line about the work."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(terminal.escape(text), markup=False, highlight=False)
        else:
            terminal.tell(text)

    def _rate(self) -> float:
        return self.done / max(time.monotonic() - self._start, 1e-9)

    def _line(self, final: bool = False) -> None:
        self._last = time.monotonic()
        if self.quiet:
            return
        seconds = self._last - self._start
        of = f"/{self.total}" if self.total is not None and not final else ""
        unit = self.unit if of else by_number(self.done, singular(self.unit), self.unit)
        parts = [f"{self.label}: {self.done}{of} {unit}", self._speed or f"{self._rate():.1f}/s"]
        if final:
            parts.append(f"{seconds:.1f} s" if seconds < 10 else duration(seconds))
        elif self.total is not None and self.done:
            parts.append(f"{duration((self.total - self.done) / self._rate())} left")
        terminal.tell(", ".join([*parts, self._more] if self._more else parts))


def _bar() -> "tuple[Bar, BarColumn]":
    # Imported where a bar is shown: it takes a tenth of a second, and most programs show none.
    from rich import progress
    from rich.console import Console
    from rich.table import Column

    def text(field: str) -> progress.TextColumn:
        return progress.TextColumn(field, markup=False, table_column=Column(no_wrap=True))

    wide = progress.BarColumn()
    whole = progress.Progress(
        text("{task.description}"),
        wide,
        progress.MofNCompleteColumn(table_column=Column(no_wrap=True)),
        text("{task.fields[rate]}"),
        progress.TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        text("{task.fields[more]}"),
        console=Console(stderr=True),
        transient=True,
    )
    return whole, wide
