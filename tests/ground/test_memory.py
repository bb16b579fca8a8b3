"""Freed memory is kept where the C library can be told to, and only there."""

import ctypes
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from miacap import memory


@pytest.fixture(autouse=True)
def _nothing_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)


class Library(SimpleNamespace):
    """A C library that writes down what it is told."""

    def __init__(self, answer: int = 1) -> None:
        super().__init__(gnu_get_libc_version=None, told=[], answer=answer)

    def mallopt(self, name: int, value: int) -> int:
        """Take a setting as mallopt(3) does: 1 where it is taken."""
        self.told.append((name, value))
        return int(self.answer)


def test_glibc_is_told_both(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert memory.keep_freed()
    # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of <malloc.h>; one alone turns off what glibc learns.
    assert library.told == [(-3, 32 << 20), (-1, 128 << 20)]


@pytest.mark.parametrize("fault", ["no library", "musl", "another malloc", "refused"])
def test_another_c_library_is_left_alone(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def find(name: None) -> Any:
        if fault == "no library":
            raise TypeError("LoadLibrary takes a string")  # Windows
        if fault == "musl":
            return SimpleNamespace()
        if fault == "another malloc":  # no glibc, and a mallopt that is not its own
            return SimpleNamespace(mallopt=lambda *setting: told.append(setting))
        return Library(answer=0)

    monkeypatch.setattr(ctypes, "CDLL", find)
    assert not memory.keep_freed()
    assert not told


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_decided_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.setenv(name, "0")
    assert not memory.keep_freed()
    assert not library.told


_REPEATED = """
import resource
from miacap.memory import keep_freed
if {kept} and not keep_freed():
    raise SystemExit("no glibc")
for repeat in range(21):
    blocks = [bytes(8 << 20) for _ in range(8)]  # 64 MB at once, all freed after
    if not repeat:
        first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del blocks
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first) // 20)
"""


def test_pages_are_taken_from_the_system_once() -> None:
    pages = []
    for kept in (False, True):
        code = _REPEATED.format(kept=kept).replace("bytes(8 << 20)", "bytearray(b'x') * (8 << 20)")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if "no glibc" in done.stderr:
            pytest.skip("another C library, which cannot be told to keep memory")
        pages.append(int(done.stdout))
    assert pages[1] < 100 < 10_000 < pages[0]


VERBS = ("caption", "demo", "explain", "features", "serve", "tune")


def test_a_library_does_not_decide_for_its_host() -> None:
    # Only commands whose networks see photos call it: their process is theirs.
    folder = Path(memory.__file__).parent
    callers = {
        str(path.relative_to(folder).as_posix())
        for path in folder.rglob("*.py")
        if "keep_freed()" in path.read_text("utf-8").replace("def keep_freed()", "")
    }
    assert callers == {f"cli/{verb}.py" for verb in VERBS}
