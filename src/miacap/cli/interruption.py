"""Ctrl-C, from the first moment on: one sentence that is true of the verb, and exit code 130.

While modules load before a verb begins, the process ends at once: nothing is open then, and what a
library does with a KeyboardInterrupt in the middle of its import is anybody's guess. Once the verb
has begun (`verb_begins`), Ctrl-C raises KeyboardInterrupt as everywhere, in its imports as well:
files that are open by then are finished or removed. A signal that is ignored (`miacap train ... &`
in a script) stays ignored.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

CODE = 130

GOES_ON = frozenset({"concepts train", "demo", "features", "reproduce", "train", "tune"})
"""Verbs whose command, given again, continues where it was; all others begin anew."""

_IMPORTING = "<frozen importlib._bootstrap>"


def sentence(arguments: Sequence[str]) -> str:
    """Say what an interrupted command does when it is given again.

    Args:
        arguments: of the command line, without the program's name.
    """
    words = [word for word in arguments if not word.startswith("-")]
    if not words:
        return "interrupted."
    verb = " ".join(words[: 2 if words[0] == "concepts" else 1])
    how = "goes on from here" if verb in GOES_ON else "starts over"
    return f"interrupted; the same command {how}."


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Answer Ctrl-C inside; where it is ignored, or off the main thread, change nothing."""
    before = signal.getsignal(signal.SIGINT)
    mine = before is signal.default_int_handler
    if not mine or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _answer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def verb_begins() -> None:
    """Say that files may be open from here on: Ctrl-C raises KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is _answer:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _answer(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            _end_at_once()
        frame = frame.f_back
    raise KeyboardInterrupt


def _end_at_once() -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"miacap: {sentence(sys.argv[1:])}\n".encode())
    os._exit(CODE)
