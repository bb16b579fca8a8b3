"""Parses of captions that are kept on disk, so that the same references are not parsed again.

One SQLite file in the cache folder (`MIACAP_CACHE`), a row a caption. The key is a digest of the
caption and of all that decides its parse: the versions of the parser's packages, the files of its
model and the source of our rules. Another version finds nothing of the old one, and the oldest rows
go first where the file is full. A row has a checksum of its own; one that is damaged, or says what
no parse says, counts as absent. SQLite writes whole or not at all, and lets one process write at a
time.

The file is a cache: what is no such file is made anew, and where none can be kept captions are
parsed each time. Who may write into your cache folder may also forge parses.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miacap.errors import SettingsError
from miacap.metrics.spice.parsing.patterns import CaptionTuple

if TYPE_CHECKING:
    import sqlite3  # loaded where it is used: some Pythons are built without it

FORMAT = 1
BOUND = 128 * 2**20
"""Bytes of the file, at most."""

_LONGEST = 64 * 2**10  # bytes of a row; longer ones are rare, and parsed each time
_DIGEST = 12  # bytes
_AT_ONCE = 500  # keys of one question
_WAIT_SECONDS = 10.0
_TABLE = "CREATE TABLE parses (id INTEGER PRIMARY KEY, key BLOB UNIQUE, value BLOB, digest BLOB)"
_OLDEST = "DELETE FROM parses WHERE id <= (SELECT MIN(id) + (MAX(id) - MIN(id)) / 4 FROM parses)"
_SCHEMA = {
    (b"table", b"parses", _TABLE.encode()),
    (b"index", b"sqlite_autoindex_parses_1", None),
}

Tell = Callable[[str], None]


_SWITCH = {"": True, **dict.fromkeys(("1", "yes", "true", "on"), True)}
_SWITCH |= dict.fromkeys(("0", "no", "false", "off"), False)


def wanted() -> bool:
    """Whether parses are kept: not where `MIACAP_SPICE_CACHE` is 0, no, false or off.

    Raises:
        SettingsError: the variable says something else.
    """
    said = os.environ.get("MIACAP_SPICE_CACHE", "")
    if said.strip().lower() not in _SWITCH:
        raise SettingsError(
            f"MIACAP_SPICE_CACHE={said[:80]!r}: write 0 (no, false, off) to keep no parses of "
            "captions, or 1 (yes, true, on) to keep them."
        )
    return _SWITCH[said.strip().lower()]


class KeptParses:
    """Parses on disk.

    Args:
        folder: the cache folder; it is made where something is kept.
        parser: everything that decides a parse but the caption.
        tell: says once what is wrong with the file.
        bound: bytes of the file, at most.
    """

    def __init__(self, folder: Path, parser: str, tell: Tell, bound: int = BOUND) -> None:
        self._path = folder / f"spice-parses-{FORMAT}.sqlite"
        self._parser = parser.encode("utf-8", "surrogatepass")
        self._tell = tell
        self._told = False
        self._bound = bound

    def find(self, captions: Sequence[str]) -> dict[str, list[CaptionTuple]]:
        """Give those captions that are kept, with their tuples."""
        found: dict[str, list[CaptionTuple]] = {}
        with self._guarded():
            if captions and self._is_there():
                with self._opened() as base:
                    for start in range(0, len(captions), _AT_ONCE):
                        found.update(self._look_up(base, captions[start : start + _AT_ONCE]))
        return found

    def _is_there(self) -> bool:
        try:
            self._path.lstat()
        except FileNotFoundError:
            return False
        return True

    def _look_up(
        self, base: "sqlite3.Connection", captions: Sequence[str]
    ) -> Iterator[tuple[str, list[CaptionTuple]]]:
        keys = {self._key(caption): caption for caption in captions}
        for key, value, digest in base.execute(_question(len(keys)), [_LONGEST, *keys]):
            tuples = _read(key, value, digest)
            if tuples is not None:
                yield keys[key], tuples
            else:
                self._say("has damaged rows; their captions are parsed again")

    def keep(self, parses: Mapping[str, list[CaptionTuple]]) -> None:
        """Add parses; where the file is full, the oldest go."""
        rows = []
        for caption, tuples in parses.items():
            key = self._key(caption)
            value = json.dumps(tuples, separators=(",", ":")).encode()
            if len(value) <= _LONGEST:
                rows.append((key, value, _digest(key, value)))
        if not rows:
            return
        with self._guarded():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as base:
                for start in range(0, len(rows), _AT_ONCE):
                    self._add(base, rows[start : start + _AT_ONCE])

    def _add(self, base: "sqlite3.Connection", rows: list[tuple[bytes, bytes, bytes]]) -> None:
        """One transaction; the oldest rows make room where it would go beyond the bound."""
        base.execute("BEGIN IMMEDIATE")
        with base:
            size = sum(len(value) + 200 for _, value, _ in rows)
            while _used(base) + size > self._bound and base.execute(_OLDEST).rowcount:
                pass
            base.executemany(
                "INSERT OR REPLACE INTO parses (key, value, digest) VALUES (?, ?, ?)", rows
            )

    @contextlib.contextmanager
    def _opened(self) -> Iterator["sqlite3.Connection"]:
        """The file, made anew where it is none of ours."""
        with contextlib.ExitStack() as stack:
            base = stack.enter_context(self._connected())
            if not _fits(base):
                stack.close()
                self._say("is damaged or none of ours; it is made anew")
                self._path.unlink(missing_ok=True)
                base = stack.enter_context(self._connected())
                _fits(base)
            yield base

    def _connected(self) -> "contextlib.closing[sqlite3.Connection]":
        import sqlite3

        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(self._path.lstat().st_mode):
                raise OSError("a link, a pipe or a device")
        base = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
        base.text_factory = bytes  # a damaged text need be no Unicode
        return contextlib.closing(base)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """What goes wrong with the file costs time alone."""
        try:
            yield
        except ImportError as error:
            self._say(f"cannot be used (this Python lacks a module: {error}); captions are parsed")
        except OSError as error:
            self._say(f"cannot be used ({error}); captions are parsed")
        except Exception as error:
            self._say_of(error)

    def _say_of(self, error: Exception) -> None:
        """Say what the database says; raises what does not come from it."""
        import sqlite3

        if isinstance(error, sqlite3.OperationalError):
            self._say(f"cannot be used now ({error}); captions are parsed")
        elif isinstance(error, (sqlite3.DatabaseError, UnicodeDecodeError)):
            self._say(f"is damaged ({error}); it is made anew next time")
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        else:
            raise error

    def _say(self, what: str) -> None:
        if not self._told:
            self._told = True
            self._tell(f"{self._path}: {what}.")

    def _key(self, caption: str) -> bytes:
        digest = hashlib.blake2b(self._parser, digest_size=16)
        digest.update(b"\0" + caption.encode("utf-8", "surrogatepass"))
        return digest.digest()


def rules() -> str:
    """Digest of the source of our rules, so that no parse outlives a change of them.

    Raises OSError where the source is not there (compiled files alone, or a packed library).
    """
    return _digest_of(Path(__file__).parent)


@functools.cache
def digest_of(folder: Path) -> str:
    """Digest of all files below a folder, by name and content. Raises OSError."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@functools.cache
def _digest_of(folder: Path) -> str:
    digest = hashlib.sha256()
    # The dictionary says which words have a base form (lemmas.py).
    meteor = [folder.parents[1] / "meteor" / name for name in ("dictionary.py", "sources.py")]
    for path in sorted([*folder.glob("*.py"), folder.parent / "word_sets.py", *meteor]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _fits(base: "sqlite3.Connection") -> bool:
    """Whether the file is a whole one of ours; a new one becomes one."""
    import sqlite3

    try:
        for pragma in ("trusted_schema = OFF", "synchronous = NORMAL"):
            base.execute(f"PRAGMA {pragma}")
        return _is_ours(base)
    except sqlite3.OperationalError:  # busy, full, read-only
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # a message that quotes damage
        return False


def _is_ours(base: "sqlite3.Connection") -> bool:
    """Whether the file has our table and nothing else; a new one gets it."""
    found = _schema(base)
    if not found:
        base.execute("BEGIN IMMEDIATE")
        with base:
            if not _schema(base):  # another process may have made it meanwhile
                base.execute(_TABLE)
            found = _schema(base)
    return found == _SCHEMA


def _schema(base: "sqlite3.Connection") -> set[tuple[object, ...]]:
    return set(base.execute("SELECT type, name, sql FROM sqlite_master LIMIT 5"))


def _used(base: "sqlite3.Connection") -> int:
    """Bytes of the file that hold something."""
    pages, free, size = (
        base.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _question(keys: int) -> str:
    places = ",".join("?" * keys)
    # SQLite counts a text up to its first NUL, however long it is: blobs alone are read.
    value = "CASE WHEN typeof(value) = 'blob' AND LENGTH(value) <= ? THEN value END"
    digest = f"CASE WHEN typeof(digest) = 'blob' AND LENGTH(digest) = {_DIGEST} THEN digest END"
    return f"SELECT key, {value}, {digest} FROM parses WHERE key IN ({places})"


def _digest(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=_DIGEST).digest()


def _read(key: bytes, value: object, digest: object) -> list[CaptionTuple] | None:
    """The tuples of a row; None where it is damaged."""
    if not isinstance(value, bytes) or digest != _digest(key, value):
        return None
    try:
        rows = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(rows, list) or not _are_tuples(rows):
        return None
    return [tuple(row) for row in rows]


def _are_tuples(rows: list[Any]) -> bool:
    """Whether all are lists of one to three texts."""
    return (
        set(map(type, rows)) <= {list}
        and set(map(len, rows)) <= {1, 2, 3}
        and set(map(type, itertools.chain.from_iterable(rows))) <= {str}
    )
