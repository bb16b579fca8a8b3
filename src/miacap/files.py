"""Files that are whole or not there: temporary name, fsync, rename; checksums."""

import contextlib
import errno
import glob
import hashlib
import os
import platform
import re
import stat
import tempfile
import time
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from miacap import terminal
from miacap.errors import DataError, RunError
from miacap.reading import open_regular, parse_json, read_bytes

_DAY_SECONDS = 86_400.0
_PART = re.compile(r"\..*\.(?P<node>\w*)-(?P<process>\d+)-\d+\.part", re.DOTALL)
_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")


def atomic(
    path: str | os.PathLike[str], mode: str = "wb"
) -> contextlib.AbstractContextManager[IO[Any]]:
    """Open a file of a folder of ours; it appears under `path` only when it is whole.

    What killed processes of ours left half-written of this file is removed; a file that is
    replaced hands on its permissions.

    Raises whatever the body raises; then the old file, if any, is untouched. An OSError (no
    space, no permission) names `path`. RunError: the folder is gone, or a link, a pipe or a
    device has the file's name: nothing is written through it.
    """
    target = Path(path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        kind = target.lstat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise RunError(
                f"{path}: a link, a pipe or a device, and nothing is written through one here; "
                "remove it, or choose another folder."
            )
    return _whole(target, target, mode)


def output(
    path: str | os.PathLike[str], mode: str = "w"
) -> contextlib.AbstractContextManager[IO[Any]]:
    """Open a file that a user named (`-o`, `--json`), as `atomic` does, wherever it leads.

    A link stays a link: what it leads to is replaced. A device or a pipe is written as it stands.
    """
    target = Path(path)
    stands = target.exists() and not (target.is_file() or target.is_dir())
    if str(path).startswith(_STREAMS) or stands:
        return _as_it_stands(target, mode)
    return _whole(Path(os.path.realpath(target)), target, mode)


def check_output(path: str | os.PathLike[str]) -> None:
    """Refuse, before any work, a file that a user named and that cannot be written.

    Raises:
        DataError: a folder, a link that leads nowhere, a name that is too long, "-", or in a
            folder that is absent or takes no new file.
    """
    named = Path(path)
    if str(path).startswith(_STREAMS):
        return
    if str(path) == "-":
        raise DataError(
            "-: standard output is named /dev/stdout where a file is written; name that, or a file."
        )
    target = Path(os.path.realpath(path))
    for parent in (named.parent, target.parent):
        if not parent.is_dir():
            raise DataError(f"{path}: there is no folder {parent}; make it, or write elsewhere.")
    try:
        loops = target.is_symlink()
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); name another.") from None
    if loops:
        raise DataError(f"{path}: a link that leads back to itself; remove it.")
    if target.is_dir():
        raise DataError(f"{path}: is a folder; name a file.")
    if target.exists() and not target.is_file():
        return  # a device or a pipe is written as it stands
    try:
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise DataError(
            f"{path}: no file can be written in {target.parent} ({error.strerror}); write "
            "elsewhere."
        ) from None


# Text may hold lone surrogates, which UTF-8 cannot; \ud800 is also what JSON writes for them.
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}


@contextlib.contextmanager
def _as_it_stands(target: Path, mode: str) -> Iterator[IO[Any]]:
    try:
        with open(target, mode, **({} if "b" in mode else _TEXT)) as file:
            yield file
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from None  # a full disk has no name


@contextlib.contextmanager
def _whole(target: Path, named: Path, mode: str) -> Iterator[IO[Any]]:
    """Write `target` under a temporary name, then rename it; errors speak of `named`."""
    _require_folder(named)
    _sweep(target)
    unique = f"{_node()}-{os.getpid()}-{time.monotonic_ns()}"
    temporary = target.with_name(f".{target.name[:40]}.{unique}.part")
    try:
        # "x": what has this name already, a link say, is not ours.
        with open(temporary, mode.replace("w", "x"), **({} if "b" in mode else _TEXT)) as file:
            yield file
            file.flush()
            _hand_on_permissions(target, file.fileno())
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        # Where nothing can be removed (read-only by now), the first error is the one to tell.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        if isinstance(error, FileNotFoundError):
            _require_folder(named)  # removed meanwhile
        # A full disk is reported without a name, a folder in the way with the temporary one.
        if str(error.filename) in ("None", str(temporary)):
            raise OSError(error.errno, error.strerror, str(named)) from None
        raise


def _require_folder(file: Path) -> None:
    parent = file.parent
    if parent.is_dir():
        return
    in_the_way = next((p for p in (parent, *parent.parents) if p.exists()), parent)
    if in_the_way.exists() and not in_the_way.is_dir():
        raise RunError(f"{in_the_way}: is a file, not a folder; choose another place.")
    raise RunError(
        f"{parent}: there is no such folder; make it first, or give the command again if it was "
        "removed meanwhile."
    )


def _hand_on_permissions(target: Path, handle: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # no file yet; no permissions on Windows
        os.fchmod(handle, stat.S_IMODE(target.stat().st_mode))


def open_handle(path: Path, flags: int) -> int:
    """Open a regular file and nothing else: no link, pipe or device."""
    try:
        flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EMLINK):
            raise
        handle = -1
    if handle >= 0 and stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    if handle >= 0:
        os.close(handle)
    raise RunError(
        f"{path}: a link, a pipe or a device where a file of miacap belongs; remove it, or choose "
        "another folder."
    )


def _sweep(target: Path) -> None:
    """Remove what killed processes left half-written of a file; strangers' files stay."""
    for left_over in target.parent.glob(f".{glob.escape(target.name[:40])}.*.part"):
        remove_abandoned(left_over)


def remove_abandoned(part: Path) -> None:
    """Remove a half-written file of ours that nobody writes any more; leave any other."""
    if _is_abandoned(part):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _node() -> str:
    """This machine's name, as letters, digits and underscores."""
    return re.sub(r"\W", "", platform.node())[:30]


def _is_abandoned(part: Path) -> bool:
    """Whether nobody writes this half-written file any more."""
    name = _PART.fullmatch(part.name)
    if name is None or part.is_symlink() or not part.is_file():
        return False  # not by us
    if name["node"] == _node() and os.name == "posix":
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
    target = Path(path)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        file = next((p for p in (target, *target.parents) if p.exists() and not p.is_dir()), target)
        raise RunError(f"{file}: is a file, not a folder; choose another place.") from None
    return target


def subfolder(path: str | os.PathLike[str], name: str) -> Path:
    """Make a folder inside one of ours, and those above it; raises RunError where it is a link."""
    target = Path(path) / name
    if target.is_symlink():
        raise RunError(
            f"{target}: a link, and nothing is written through one here; remove it, or choose "
            "another folder."
        )
    return folder(target)


def strangers(path: str | os.PathLike[str], ours: Container[str] = ()) -> list[str]:
    """Name what a folder holds besides `ours` and half-written files; nothing if it is absent."""
    target = Path(path)
    names = sorted(item.name for item in target.iterdir()) if target.is_dir() else []
    return [name for name in names if name not in ours and not _PART.fullmatch(name)]


CLAIM = ".miacap"


def claim(path: str | os.PathLike[str], what: str, ours: Sequence[str] = ()) -> None:
    """Take a folder before anything is written into it or swept out of it.

    A small file, `.miacap`, says what the folder is; only a new or empty folder gets one. A folder
    that is refused is left byte for byte as it was.

    Args:
        path: the folder; made if absent.
        what: what it becomes: "run", "demo", ...
        ours: further names that do not make it somebody else's.

    Raises:
        RunError: it holds something else.
    """
    target = Path(path)
    mark = target / CLAIM
    others = strangers(target, (CLAIM, *ours))
    if _claimed(mark) == what:
        return
    if others or not _is_free(mark):
        raise RunError(
            f"{target}: holds {(others or [CLAIM])[0]!r} and is no {what} of miacap; choose an "
            "empty or new folder."
        )
    folder(target)
    with atomic(mark, "w") as file:
        file.write(f"{what}\n")


def is_claimed(path: str | os.PathLike[str], what: str) -> bool:
    """Whether a folder was taken for `what` by `claim`."""
    return _claimed(Path(path) / CLAIM) == what


def _is_free(mark: Path) -> bool:
    """Whether there is no mark, or one whose writer was killed before its first letter."""
    if not os.path.lexists(mark):
        return True
    return not mark.is_symlink() and mark.is_file() and mark.stat().st_size == 0


def _claimed(mark: Path) -> str | None:
    if mark.is_symlink() or not mark.is_file():
        return None
    return mark.read_bytes()[:100].decode("utf-8", "replace").strip()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON into a folder of ours (UTF-8, two blanks of indent, keys in the order given)."""
    with atomic(path, "w") as file:
        file.write(terminal.json_text(value, indent=2) + "\n")


def output_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON as `write_json` does, into a file that a user named; see `output`."""
    with output(path) as file:
        file.write(terminal.json_text(value, indent=2) + "\n")


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
    """Give the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises OSError; DataError for what is no file (a pipe, a device, a folder): nothing waits.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
