"""The paraphrase table's arrays in the user's cache: built once, checked on every reading.

One safetensors file, memory-mapped: its metadata hold a checksum of the arrays and the size of
the table that they were made from. A file that is missing, damaged, of another format or made
from another table is built anew; two processes that build at once wait for each other, and a
cache that cannot be written costs only time, as the arrays are then kept in memory.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from miacap import files
from miacap.errors import RunError
from miacap.locks import lock
from miacap.metrics.meteor import sources, table
from miacap.progress import Progress

FORMAT = "1"
_TYPES = {"U8": np.uint8, "I32": np.int32, "U64": np.uint64}
_LONGEST_HEADER = 100_000  # bytes; ours has a few hundred
_EXPECTED = {"keys": "U64", "heads": "I32", "starts": "I32", "targets": "I32", "words": "U8"}


def folder() -> Path | None:
    """Give the cache folder: `MIACAP_CACHE` if set, else the platform's, which may not exist.

    None where the user has no home folder (a container's user without an entry, say).
    """
    if chosen := os.environ.get("MIACAP_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return _at_home(os.environ.get("LOCALAPPDATA"), "AppData/Local")
    if sys.platform == "darwin":
        return _at_home(None, "Library/Caches")
    return _at_home(os.environ.get("XDG_CACHE_HOME"), ".cache")


def _at_home(chosen: str | None, usual: str) -> Path | None:
    if chosen:
        return Path(chosen) / "miacap"
    try:
        return Path.home() / usual / "miacap"
    except RuntimeError:  # what pathlib raises where there is no home folder
        return None


def load(quiet: bool = False) -> table.Arrays:
    """Give the arrays of the paraphrase table, from the cache or, the first time, built (15 s).

    Args:
        quiet: show no progress.

    Raises:
        MissingExtra: pycocoevalcap, whose table it is, is not installed.
        DataError: the table is damaged.
    """
    source = sources.paraphrases()
    home = folder()
    if home is None:
        return _build(source, None, quiet)
    path = home / f"meteor-paraphrases-{FORMAT}.safetensors"
    size = str(source.stat().st_size)
    cached = read(path, size)
    if cached is not None:
        return cached
    with _alone(path):
        cached = read(path, size)  # another process may have built it meanwhile
        return _build(source, path, quiet) if cached is None else cached


def read(path: Path, source_size: str) -> table.Arrays | None:
    """Map the arrays of a cache file; None where it is not whole, or not of this table."""
    try:
        if not path.is_file():  # a pipe would be waited for without an end
            return None
        mapped = np.memmap(path, np.uint8, mode="r")
        length = int.from_bytes(mapped[:8].tobytes(), "little")
        if length > _LONGEST_HEADER:
            return None
        header = json.loads(mapped[8 : 8 + length].tobytes())
        metadata = header.pop("__metadata__")
        arrays: table.Arrays = {
            name: _view(mapped[8 + length :], header[name], kind)
            for name, kind in _EXPECTED.items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if metadata != _metadata(arrays, source_size):
        return None
    return arrays


def _view(data: NDArray[np.uint8], entry: Mapping[str, object], kind: str) -> NDArray[np.generic]:
    offsets = entry["data_offsets"]
    if entry["dtype"] != kind or not isinstance(offsets, list):
        raise ValueError(f"not an array of {kind}")
    begin, end = offsets
    if not 0 <= begin <= end <= len(data):
        raise ValueError("an array outside the file")
    return np.asarray(data[begin:end]).view(_TYPES[kind])


def _metadata(arrays: table.Arrays, source_size: str) -> dict[str, str]:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return {"format": FORMAT, "sha256": digest.hexdigest(), "source_size": source_size}


def _build(source: Path, path: Path | None, quiet: bool) -> table.Arrays:
    size = source.stat().st_size
    with Progress("METEOR's paraphrases, indexed once", size // 1000, "kB", quiet) as progress:
        arrays = table.build(source, lambda read: progress.advance(read // 1000))
        if path is None:
            progress.note(
                "There is no home folder to keep the index in: it is built again each time. "
                "Set MIACAP_CACHE to a folder."
            )
            return arrays
        try:
            if path.exists() and not path.is_file():  # writing to a pipe would wait for a reader
                raise RunError("not a regular file")
            with files.atomic(path) as file:
                file.write(save(arrays, _metadata(arrays, str(size))))
        except (OSError, RunError) as error:
            progress.note(f"{path}: cannot be written ({error}); kept in memory only.")
    return arrays


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process build at a time; where no lock can be had, go on without it."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, RunError):
            stack.enter_context(lock(path.with_suffix(".lock")))
        yield
