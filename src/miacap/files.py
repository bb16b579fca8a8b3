"""Files that are whole or not there: temporary name, fsync, rename; checksums; locks."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from miacap.errors import DataError, RunError

_STALE_LOCK_SECONDS = 3600.0


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that appears under ``path`` only when it was written to its end.

    Raises whatever the body raises; then the old file, if any, is untouched.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{time.monotonic_ns()}.part")
    # Text may hold lone surrogates, which UTF-8 cannot; \ud800 is also what JSON writes for them.
    how = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
    text: dict[str, Any] = {} if "b" in mode else how
    try:
        with open(temporary, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON (UTF-8, two blanks of indent, keys in the order given), whole or not at all."""
    with atomic(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON. Raises DataError that names the file and the line."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}).") from None
    except (OSError, RecursionError, ValueError) as error:  # ValueError: a number too long
        raise DataError(f"{path}: cannot be read ({error}).") from None


def sha256(path: str | os.PathLike[str]) -> str:
    """Give the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock(path: str | os.PathLike[str], timeout: float = 600.0) -> Iterator[None]:
    """Hold ``path`` as a lock between processes (a file made exclusively, on every system).

    A lock whose process died is taken over after an hour, or at once where the
    process that is named in it is gone. Raises RunError after ``timeout`` seconds.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    while True:
        try:
            handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            break
        except FileExistsError:
            if _abandoned(target):
                target.unlink(missing_ok=True)
            elif time.monotonic() > deadline:
                raise RunError(
                    f"{target}: another process has held this lock for over {timeout:.0f} s; "
                    "if none is running, delete the file."
                ) from None
            else:
                time.sleep(0.05)
    try:
        os.write(handle, str(os.getpid()).encode())
        os.close(handle)
        yield
    finally:
        target.unlink(missing_ok=True)


def _abandoned(path: Path) -> bool:
    try:
        content = path.read_text(encoding="ascii")
        age = time.time() - path.stat().st_mtime
    except (OSError, UnicodeDecodeError):
        return False
    if age > _STALE_LOCK_SECONDS:
        return True
    if os.name != "posix" or not content.isdigit():
        return False
    try:
        os.kill(int(content), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
