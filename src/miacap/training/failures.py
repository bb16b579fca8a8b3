"""Why a training broke off, written beside its checkpoints: a list of runs can say it later.

Settings that are refused before the first step, and Ctrl-C, are no failures.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from miacap import terminal
from miacap.errors import DataError, MiacapError, RunError
from miacap.files import read_json, write_json

__all__ = ["NAME", "Diverged", "failure", "recorded"]

NAME = "failure.json"
"""The file, in the folder of checkpoints."""


class Diverged(RunError):
    """The loss, or a parameter, is not finite any more."""


@contextlib.contextmanager
def recorded(folder: Path | None) -> Iterator[None]:
    """Forget what an earlier sitting failed of; write down what this one fails of, and raise it.

    Args:
        folder: of the checkpoints; None for a process that is not the main one, and writes nothing.
    """
    if folder is None:
        yield
        return
    file = folder / NAME
    with contextlib.suppress(OSError):  # somebody's folder of that name: nothing is forgotten
        file.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        said = terminal.shorten(str(error) or type(error).__name__)
        state = "diverged" if isinstance(error, Diverged) else "failed"
        with contextlib.suppress(OSError, MiacapError):  # a full disk: the error itself is told
            write_json(file, {"format": 1, "state": state, "error": said})
        raise


def failure(folder: Path) -> tuple[str, str] | None:
    """Give "diverged" or "failed", and the message; None where nothing is known of a failure."""
    file = folder / NAME
    if not file.is_file():
        return None
    try:
        content = read_json(file)
        state, said = content["state"], content["error"]
    except (DataError, KeyError, TypeError):
        return None
    known = state in ("diverged", "failed") and isinstance(said, str)
    return (state, said) if known else None
