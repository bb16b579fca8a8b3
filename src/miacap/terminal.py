"""What reaches a terminal: the one place that prints, and that shows control characters escaped.

Names, captions, words and messages come from other people's files. A terminal obeys some
characters (escape sequences, line breaks, characters that turn the direction of a line), so none
of them is printed as it is: ESC appears as \\x1b, a newline as \\n. Nothing else in miacap writes
to standard output or standard error (tests/house/test_terminal.py).

    escape        text from data -> text that a terminal only shows
    result        one line of results, its columns divided by tabs
    results       several lines that were laid out here; their cells are escaped before
    utf8          one line of results in UTF-8, whatever the terminal's encoding
    tell          one line to standard error: warnings, notes, progress
    tell_end      one line to standard error: why the program ends
    json_text     exact JSON in which such characters are written as JSON's own escapes
"""

import contextlib
import json
import os
import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from miacap import parts

OUTPUT = "standard output"
"""Name in an OSError that `result`, `results`, `utf8` or `flush` raises."""

LONGEST = 1_000
"""Characters of a message; the middle of a longer one is left out."""

_OBEYED = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 (newline, tab, ESC, BEL), DEL, C1
    "\xad\u061c\u180e\u200b\u200e\u200f"  # seen by nobody: soft hyphen, marks of direction
    "\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"  # line breaks, turns
    "\ud800-\udfff"  # bytes that are no text
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # controls of old scripts
    "\U000e0001\U000e0020-\U000e007f"  # tags
    "]"
)
# The joiners U+200C and U+200D stay: Persian, Hindi and many an emoji need them.


def escape(text: object) -> str:
    r"""Show what a terminal would obey as an escape: ESC as `\x1b`, a newline as `\n`."""
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text))


def shorten(text: str, longest: int = LONGEST) -> str:
    """Leave out the middle of a text that is longer than a few lines."""
    if len(text) <= longest:
        return text
    head, tail = longest * 2 // 3, longest // 3
    left_out = f" ... ({len(text) - head - tail:,} characters left out) ... "
    return text[:head] + left_out + text[len(text) - tail :]


def result(*columns: object) -> None:
    """Print one line to standard output; several columns are divided by tabs."""
    _write(sys.stdout, OUTPUT, "\t".join(map(escape, columns)))


def results(text: str) -> None:
    """Print lines to standard output.

    Whoever lays them out escapes the cells that came from data: a newline in a cell would begin
    a line.
    """
    for line in text.split("\n"):
        result(line)


def utf8(line: str) -> None:
    """Print one line to standard output in UTF-8; it is not sent off before its buffer is full."""
    if not parts.speaks():
        return
    with _named(OUTPUT):
        sys.stdout.buffer.write(escape(line).encode("utf-8") + b"\n")


def tell(text: object) -> None:
    """Print one line to standard error; a line longer than `LONGEST` loses its middle."""
    _write(sys.stderr, "standard error", escape(shorten(str(text))))


def tell_end(text: object) -> None:
    """Print why the program ends: of several processes each one does, by its name."""
    who = parts.title()
    line = f"miacap, {who}: {text}" if who else f"miacap: {text}"
    _write(sys.stderr, "standard error", escape(shorten(line)), all_speak=True)


def tell_fault(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print a fault of ours with its traceback, as `sys.excepthook` does."""
    for piece in traceback.format_exception(kind, error, trace):
        for line in piece.rstrip("\n").split("\n"):
            _write(sys.stderr, "standard error", escape(shorten(line)), all_speak=True)


def json_text(value: Any, indent: int | None = None) -> str:
    """Give JSON that is exact and shows nothing that a terminal obeys.

    Raises ValueError for numbers that JSON does not have (NaN, infinity).
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    # Outside of strings JSON has line breaks alone, and inside none: they are the indent's.
    return _OBEYED.sub(lambda match: match[0] if match[0] == "\n" else _json_escape(match[0]), text)


def _json_escape(character: str) -> str:
    pairs = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))


def flush() -> None:
    """Send off what is still to be printed. Raises OSError as `result` does."""
    if sys.stdout is not None:
        with _named(OUTPUT):
            sys.stdout.flush()


def silence() -> None:
    """Send what is still to be printed nowhere, or the interpreter fails on it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(stream: Any, name: str, line: str, all_speak: bool = False) -> None:
    if not (all_speak or parts.speaks()):
        return
    if stream is not None:  # a program without a terminal (pythonw) has no streams
        with _named(name):
            stream.write(line + "\n")
            stream.flush()


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Say in an OSError which output it was: the system does not."""
    try:
        yield
    except OSError as error:
        error.filename = name
        raise
