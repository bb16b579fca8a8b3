"""What a store of given features was read from: `sources.json`, beside its manifest.

A file is told by its name, its size and its SHA-256; a folder by the names and sizes of its files.
Nothing is decided by it: a store may be filled from several files, and from one that was mended.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from miacap.data.dataset import Source
from miacap.data.sealed import read_sealed, write_sealed
from miacap.errors import DataError, RunError, SettingsError
from miacap.files import sha256
from miacap.settings import from_json, to_json

NAME = "sources.json"


def read_sources(folder: str | os.PathLike[str]) -> tuple[Source, ...]:
    """Give what a store was read from; nothing where nobody noted it.

    Raises:
        RunError: the file is damaged.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        return ()
    try:
        files = read_sealed(path).get("files")
        if not isinstance(files, list):
            raise DataError(f'{path}: no list "files"; it is damaged.')
        return tuple(from_json(Source, value, str(path)) for value in files)
    except (DataError, SettingsError) as error:
        raise RunError(str(error)) from None


def note_sources(folder: Path, paths: Iterable[Path]) -> tuple[str, ...]:
    """Note what a store was read from, beside what was noted before.

    Args:
        folder: of the store.
        paths: files and folders.

    Returns:
        names of those that had other bytes when they were read before.

    Raises:
        RunError: what was noted before is damaged.
        DataError: a file cannot be read any more.
    """
    before = read_sources(folder)
    # A pipe of the shell (--sizes <(zcat x)) was read, and has nothing left to look at.
    now = tuple(source_of(path) for path in paths if path.is_file() or path.is_dir())
    new = tuple(dict.fromkeys(one for one in now if one not in before))
    if new:
        write_sealed(folder / NAME, {"files": [to_json(one) for one in (*before, *new)]})
    known = {one.name for one in before}
    return tuple(dict.fromkeys(one.name for one in new if one.name in known))


def source_of(path: Path) -> Source:
    """Describe a file, or a folder. Raises DataError where it cannot be read."""
    name = path.resolve().name
    try:
        if not path.is_dir():
            return Source(name, sha256(path), path.stat().st_size)
        digest, total = hashlib.sha256(), 0
        for parent, inside, files in os.walk(path):
            inside.sort()
            for file in sorted(files):
                size = Path(parent, file).lstat().st_size
                within = os.fsencode(os.path.relpath(os.path.join(parent, file), path))
                digest.update(b"%s\0%d\0" % (within, size))
                total += size
        return Source(name, digest.hexdigest(), total)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
