"""How much memory is free, so that what cannot fit is refused before it is tried."""

import os
from pathlib import Path

__all__ = ["free_memory"]

_PROC = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Give the bytes of main memory that can still be taken without swapping.

    On Linux what the kernel calls available, less where a container's limit (cgroup) leaves
    less; elsewhere all of the machine's memory; None where the system does not tell.
    """
    known = [size for size in (_available(), _left_in_container()) if size is not None]
    return min(known) if known else _whole()


def _available() -> int | None:
    try:
        lines = _PROC.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _left_in_container() -> int | None:
    try:
        limit = (_GROUP / "memory.max").read_text().strip()
        used = int((_GROUP / "memory.current").read_text())
        counts = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    # Pages of files that nobody uses right now are given back when memory is wanted.
    return max(0, int(limit) - used + int(counts.get("inactive_file", 0)))


def _whole() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
