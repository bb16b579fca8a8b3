"""The index in the user's cache: whole, checked, rebuilt, and never in the way."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from miacap.errors import MissingExtra
from miacap.metrics.meteor import Meteor, cache, sources, table

NAME = f"meteor-paraphrases-{cache.FORMAT}.safetensors"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own and a table of two entries."""
    small = tmp_path / "paraphrase-en.gz"
    small.write_bytes(gzip.compress(b"0.5\na dog\none dog\n0.1\nbig\nlarge\n"))
    monkeypatch.setattr(sources, "paraphrases", lambda: small)
    monkeypatch.setenv("MIACAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with each building."""
    seen: list[int] = []
    real = table.build

    def build(*arguments: object) -> table.Arrays:
        seen.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(table, "build", build)
    return seen


def _same(first: table.Arrays, second: table.Arrays) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


def test_built_once_then_read(
    home: Path, builds: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    built = cache.load()
    assert "paraphrases" in capsys.readouterr().err
    assert _same(cache.load(), built)
    assert len(builds) == 1
    assert [path.name for path in home.iterdir()] == [NAME]  # no lock, no part left behind
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("place", ["start", "header", "data", "end", "all"])
def test_damage_is_found_and_mended(home: Path, builds: list[int], place: str) -> None:
    built = {name: array.copy() for name, array in cache.load(quiet=True).items()}
    path = home / NAME
    data = bytearray(path.read_bytes())
    if place == "all":
        data = bytearray()
    elif place == "end":
        del data[-3:]
    else:
        data[{"start": 0, "header": 20, "data": -5}[place]] ^= 1
    path.write_bytes(data)
    assert _same(cache.load(quiet=True), built)
    assert len(builds) == 2
    cache.load(quiet=True)
    assert len(builds) == 2


def test_another_table_is_another_index(home: Path, builds: list[int]) -> None:
    cache.load(quiet=True)
    sources.paraphrases().write_bytes(gzip.compress(b"0.5\na dog\na hound of mine\n"))
    assert b"hound" in cache.load(quiet=True)["words"].tobytes()
    assert len(builds) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(
    home: Path, builds: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    home.write_text("a file where the folder should be")
    assert len(cache.load()["targets"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert len(builds) == 1


_LOAD = """
import sys
from pathlib import Path
from miacap.metrics.meteor import cache, sources
sources.paraphrases = lambda: Path(sys.argv[1])
print(len(cache.load(quiet=True)["targets"]))
"""


def test_two_processes_at_once(home: Path) -> None:
    # MIACAP_CACHE comes along in the environment.
    command = [sys.executable, "-c", _LOAD, str(sources.paraphrases())]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = [process.communicate(timeout=60)[0] for process in running]
    assert found == ["2\n"] * 3
    assert [path.name for path in home.iterdir()] == [NAME]


def test_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIACAP_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.delenv("MIACAP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.folder() == tmp_path / "x" / "miacap"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder() == Path.home() / "Library" / "Caches" / "miacap"
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "w"))
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache.folder() == tmp_path / "w" / "miacap"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sources.folder.cache_clear()
    sources.locate.cache_clear()
    try:
        with pytest.raises(MissingExtra, match=r"^METEOR needs the extra \[meteor\]: pip install"):
            sources.folder()
    finally:
        sources.folder.cache_clear()
        sources.locate.cache_clear()


def test_without_the_stemmer(monkeypatch: pytest.MonkeyPatch) -> None:
    from miacap.metrics.meteor.lexicon import stemmer

    stemmer.cache_clear()
    monkeypatch.setitem(sys.modules, "snowballstemmer.english_stemmer", None)
    try:
        with pytest.raises(MissingExtra, match=r"METEOR needs the extra \[meteor\]"):
            Meteor()
    finally:
        stemmer.cache_clear()


@pytest.mark.usefixtures("tables")
def test_a_stemmer_of_other_stems_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from miacap.errors import MiacapError
    from miacap.metrics.meteor.lexicon import stemmer

    stemmer.cache_clear()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "3.1.1")
    try:
        with pytest.raises(MiacapError, match=r"version 3\.1\.1 is installed: pip install"):
            Meteor()
    finally:
        stemmer.cache_clear()


def test_nothing_of_the_package_is_imported(tables: None) -> None:
    import subprocess

    code = (
        "import sys; from miacap.metrics.meteor import Dictionary; Dictionary.load();"
        "assert not {'pycocotools', 'matplotlib', 'torch', 'numba'} & set(sys.modules);"
        "assert not [m for m in sys.modules if m.startswith('pycocoevalcap.')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_a_home_folder_it_is_built_each_time(
    home: Path,
    builds: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("MIACAP_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache.folder() is None
    assert _same(cache.load(), cache.load(quiet=True))
    assert len(builds) == 2
    assert "no home folder" in capsys.readouterr().err
    monkeypatch.setenv("MIACAP_CACHE", str(home))
    assert cache.folder() == home


@pytest.mark.parametrize(
    "header",
    [b"[" * 40_000, b'{"a":' * 15_000, b'{"__metadata__": {}, "keys": ' + b"9" * 6000 + b"}"],
    ids=["deep list", "deep object", "long number"],
)
def test_a_hostile_header_is_built_over(home: Path, builds: list[int], header: bytes) -> None:
    built = {name: array.copy() for name, array in cache.load(quiet=True).items()}
    (home / NAME).write_bytes(len(header).to_bytes(8, "little") + header + bytes(100))
    assert _same(cache.load(quiet=True), built)
    assert len(builds) == 2
    (home / NAME).write_bytes((1 << 62).to_bytes(8, "little") + bytes(200_000))
    assert _same(cache.load(quiet=True), built)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_its_place_is_not_waited_for(home: Path, builds: list[int]) -> None:
    home.mkdir()
    os.mkfifo(home / NAME)
    cache.load(quiet=True)
    assert len(builds) == 1


def test_a_header_longer_than_ours_is_not_read(home: Path, builds: list[int]) -> None:
    """Whole and with the right checksum, but padded: somebody else's."""
    cache.load(quiet=True)
    path, size = home / NAME, str(sources.paraphrases().stat().st_size)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    for longer, taken in ((1000, True), (100_001, False)):
        header = data[8 : 8 + length].ljust(longer)
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])
        assert (cache.read(path, size) is not None) == taken
