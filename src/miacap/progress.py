"""Progress on standard error: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from miacap import terminal
from miacap.wording import by_number, singular

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_SECONDS_BETWEEN_LINES = 15.0


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
        self.label, self.total, self.unit, self.quiet = label, total, unit, quiet
        self.done = 0
        self._bar: Bar | None = None
        self._task: Any = None
        self._start = self._last = time.monotonic()

    def __enter__(self) -> "Progress":
        self._start = self._last = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(terminal.escape(self.label), total=self.total, rate="")
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

    def advance(self, n: int = 1) -> None:
        """Count `n` more items."""
        self.done += n
        if self._bar is not None:
            self._bar.update(self._task, advance=n, rate=f"{self._rate():.1f} {self.unit}/s")
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
        text = f"{self.label}: {self.done}{of} {unit}, {self._rate():.1f}/s"
        if final:
            text += f", {seconds:.1f} s"
        elif self.total is not None and self.done:
            text += f", {(self.total - self.done) / self._rate():.0f} s left"
        terminal.tell(text)


def _bar() -> "Bar":
    # Imported where a bar is shown: it takes a tenth of a second, and most programs show none.
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
