"""How much memory is free, so that what cannot fit is refused; and freed memory that is kept."""

import os
from pathlib import Path

__all__ = ["free_memory", "keep_freed"]

_PROC = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT = 128 << 20
_LARGEST_KEPT = 32 << 20  # glibc takes no more


def free_memory() -> int | None:
    """Give the bytes of main memory that can still be taken without swapping.

    On Linux what the kernel calls available, less where a container's limit (cgroup) leaves
    less; elsewhere all of the machine's memory; None where the system does not tell.
    """
    known = [size for size in (_available(), _left_in_container()) if size is not None]
    return min(known) if known else _whole()


def keep_freed() -> bool:
    """Have the C library keep the memory that networks free, for the next photo or batch.

    glibc gives large blocks back to the system after each use, and the system fills each page
    with zeros when it is taken anew: a sixth of the CPU time of a network that sees photos. From
    here on blocks of up to 32 MB are kept, and up to 128 MB that nobody uses. It holds for the
    whole process, so a command calls it for itself, and a library does not for its host.

    Returns:
        Whether it was done: not where the C library is another one (macOS, Windows, musl), nor
        where the user decided (`MALLOC_...` or `GLIBC_TUNABLES` is set).
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    import ctypes  # what needs no network need not wait for it

    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - others may have a mallopt that does nothing
        mallopt = library.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, _KEPT))


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
