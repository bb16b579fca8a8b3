"""Files that are whole or not there: temporary name, fsync, rename; checksums; locks."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import platform
import re
import sys
import time
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, Any

from miacap.errors import DataError, RunError
from miacap.reading import parse_json, read_bytes

_DAY_SECONDS = 86_400.0
_PART = re.compile(r"\..*\.(?P<node>\w*)-(?P<process>\d+)-\d+\.part", re.DOTALL)
_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that appears under ``path`` only when it was written to its end.

    A link stays a link: what it leads to is replaced. A device or a pipe is written as it
    stands. What killed processes left half-written of this file is removed.

    Raises whatever the body raises; then the old file, if any, is untouched. An OSError (no
    space, no permission) names ``path``. RunError: a part of its folder's name is a file.
    """
    # Text may hold lone surrogates, which UTF-8 cannot; \ud800 is also what JSON writes for them.
    how = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
    text: dict[str, Any] = {} if "b" in mode else how
    target, temporary = _places(Path(path))
    try:
        with open(temporary or target, mode, **text) as file:
            yield file
            file.flush()
            if temporary is not None:
                os.fsync(file.fileno())
        if temporary is not None:
            os.replace(temporary, target)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        # A full disk is reported without a name, a folder in the way with the temporary one.
        if isinstance(error, OSError) and str(error.filename) in ("None", str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def _places(path: Path) -> tuple[Path, Path | None]:
    """Where the content ends up and under which name it is written before, if another."""
    if str(path).startswith(_STREAMS) or (path.exists() and not (path.is_file() or path.is_dir())):
        return path, None
    target = Path(os.path.realpath(path))
    folder(target.parent)
    for left_over in target.parent.glob(f".{glob.escape(target.name[:40])}.*.part"):
        if _is_abandoned(left_over):
            left_over.unlink(missing_ok=True)
    unique = f"{_node()}-{os.getpid()}-{time.monotonic_ns()}"
    return target, target.with_name(f".{target.name[:40]}.{unique}.part")


def _node() -> str:
    """This machine's name, as letters, digits and underscores."""
    return re.sub(r"\W", "", platform.node())[:30]


def _is_abandoned(part: Path) -> bool:
    """Whether nobody writes this half-written file any more."""
    name = _PART.fullmatch(part.name)
    if name and name["node"] == _node() and os.name == "posix":
        try:
            os.kill(int(name["process"]), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            return False
        return False
    with contextlib.suppress(OSError):  # gone, or another machine's: only its age tells
        return time.time() - part.stat().st_mtime > _DAY_SECONDS
    return False


def folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, where there is none; give its path.

    Raises RunError where a file is in the way.
    """
    place = Path(path)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        file = next((p for p in (place, *place.parents) if p.exists() and not p.is_dir()), place)
        raise RunError(f"{file}: is a file, not a folder; choose another place.") from None
    return place


def strangers(path: str | os.PathLike[str], ours: Container[str] = ()) -> list[str]:
    """Name what a folder holds besides ``ours`` and half-written files; nothing if it is absent."""
    place = Path(path)
    names = sorted(item.name for item in place.iterdir()) if place.is_dir() else []
    return [name for name in names if name not in ours and not _PART.fullmatch(name)]


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON (UTF-8, two blanks of indent, keys in the order given), whole or not at all."""
    with atomic(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON in UTF-8, within the limits of `reading`.

    Raises:
        DataError: absent, unreadable, no JSON or beyond a limit; with file, line and column.
    """
    return parse_json(_utf8(path), str(path))


def read_json_lines(path: str | os.PathLike[str]) -> list[Any]:
    """Read JSON Lines in UTF-8, within the limits of `reading`; blank lines are none.

    Raises:
        DataError: as `read_json`.
    """
    lines = _utf8(path).split("\n")
    return [
        parse_json(line, str(path), number) for number, line in enumerate(lines, 1) if line.strip()
    ]


def _utf8(path: str | os.PathLike[str]) -> str:
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8.") from None


def sha256(path: str | os.PathLike[str]) -> str:
    """Give the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock(path: str | os.PathLike[str], timeout: float = 600.0) -> Iterator[None]:
    """Hold ``path`` as a lock between processes; the system gives it back when one dies.

    The file names the process that holds it and goes when the lock is given back; one that a
    killed process left does no harm. On a file system without locks nobody is kept apart.
    Raises RunError after ``timeout`` seconds.
    """
    target = Path(path)
    folder(target.parent)
    handle = _locked(target, time.monotonic() + timeout)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        # Removed while it is still held, so that nobody's new lock is taken away.
        if sys.platform == "win32":
            os.close(handle)
            with contextlib.suppress(OSError):
                target.unlink(missing_ok=True)
        else:
            target.unlink(missing_ok=True)
            os.close(handle)


def _locked(target: Path, deadline: float) -> int:
    """Open the file of a lock and hold it."""
    while True:
        handle = os.open(target, os.O_CREAT | os.O_RDWR)
        try:
            if _hold(handle) and _is_still(handle, target):
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

    def _hold(handle: int) -> bool:
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

    def _hold(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise
        return True


def _is_still(handle: int, target: Path) -> bool:
    """Whether the file that was opened still has its name; its holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), target.stat())
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
