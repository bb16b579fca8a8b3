"""Locks between processes: one folder, one command at work in it."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from miacap.errors import RunError
from miacap.files import folder, open_handle

__all__ = ["is_held", "lock"]


@contextlib.contextmanager
def lock(path: str | os.PathLike[str], timeout: float = 600.0) -> Iterator[None]:
    """Hold `path` as a lock between processes; the system gives it back when one dies.

    The file names the process that holds it and goes when the lock is given back; one that a
    killed process left does no harm. On a file system without locks nobody is kept apart.

    Raises RunError after `timeout` seconds, and where the file is not one of ours: a link, a
    pipe, or a file that holds more than a number.
    """
    target = Path(path)
    folder(target.parent)
    handle = _locked(target, time.monotonic() + timeout)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        # Removed while it is still held, so that nobody's new lock is taken away. Where it cannot
        # be removed (read-only by now), it does no harm, and what went wrong first is told.
        if sys.platform == "win32":
            os.close(handle)
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(handle)


def is_held(path: str | os.PathLike[str]) -> bool:
    """Whether some process holds a lock at this moment.

    Looked at and not taken: whoever wants it at the same moment tries again and gets it. Where it
    cannot be looked at (no permission, no locks on that file system) it counts as not held.
    """
    try:
        handle = open_handle(Path(path), _LOOKING)
    except (OSError, RunError):
        return False
    try:
        return not _hold(handle, _SHARED)
    except OSError:
        return False
    finally:
        os.close(handle)


def _locked(target: Path, deadline: float) -> int:
    """Open the file of a lock and hold it."""
    while True:
        handle = open_handle(target, os.O_CREAT | os.O_RDWR)
        try:
            if _hold(handle) and _is_still(handle, target):
                _require_ours(handle, target)
                return handle
            if time.monotonic() > deadline:
                raise RunError(_occupied(target))
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        time.sleep(0.02)


if sys.platform == "win32":
    import msvcrt

    _LOOKING = os.O_RDWR
    _ALONE = _SHARED = 0

    def _hold(handle: int, how: int = _ALONE) -> bool:
        try:
            # Beyond the process number, which others have to be able to read.
            os.lseek(handle, 1 << 20, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        except OSError:
            return False
        return True
else:
    import fcntl

    _LOOKING = os.O_RDONLY
    _ALONE, _SHARED = fcntl.LOCK_EX, fcntl.LOCK_SH

    def _hold(handle: int, how: int = _ALONE) -> bool:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise
        return True


def _require_ours(handle: int, target: Path) -> None:
    content = os.read(handle, 100)
    os.lseek(handle, 0, os.SEEK_SET)
    if content.strip() and not content.isdigit():
        raise RunError(
            f"{target}: a file that miacap did not write, where its lock belongs; move it away, or "
            "choose another folder."
        )


def _is_still(handle: int, target: Path) -> bool:
    """Whether the file that was opened still has its name; its holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), target.lstat())
    except FileNotFoundError:
        return False


def _occupied(target: Path) -> str:
    process = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        content = target.read_text(encoding="ascii")
        process = f" (process {content})" if content.isdigit() else ""
    return (
        f"{target.parent}: another miacap{process} is at work in this folder; wait for its end, "
        "or choose another folder."
    )
