"""Ctrl-C and SIGTERM as requests: the step is finished and a checkpoint left, then they act."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """What was asked for while training ran."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._at_once = False
        self._process = os.getpid()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; raise where it may act at once or came twice."""
        again = self.received is not None
        self.received = number
        # A forked child (a worker of a pool) is stopped by these signals: never postpone there.
        if again or self._at_once or os.getpid() != self._process:
            self.act()

    def act(self) -> None:
        """Do what the signal does elsewhere: raise KeyboardInterrupt, or leave with 128 + n."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(128 + self.received)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let signals act immediately inside: nothing in here changes the parameters."""
        self._at_once = True
        try:
            if self.received is not None:
                self.act()
            yield
        finally:
            self._at_once = False


@contextlib.contextmanager
def postponed() -> Iterator[Interrupts]:
    """Catch SIGINT and SIGTERM inside. Off the main thread they cannot be caught, and are not."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    # None: a handler that was not installed from Python; it cannot be put back, so stay away.
    # SIG_IGN: whoever started us wants it ignored (a job in the background of a script).
    wanted = (signal.SIGINT, signal.SIGTERM)
    numbers = [n for n in wanted if signal.getsignal(n) not in (None, signal.SIG_IGN)]
    before = {number: signal.signal(number, interrupts.handle) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    interrupts.act()  # one that came when there was no further step to end with
