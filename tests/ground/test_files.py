import os
import subprocess
import sys
from pathlib import Path

import pytest

from miacap.errors import DataError, RunError
from miacap.files import atomic, lock, read_json, sha256, write_json


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with atomic(target, "w") as file:
        file.write("first")
    with pytest.raises(ZeroDivisionError), atomic(target, "w") as file:
        file.write("half of the sec")
        raise ZeroDivisionError
    assert target.read_text() == "first"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


def test_json_round_trip_and_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, "é"], "a": None})
    assert read_json(path) == {"b": [1, "é"], "a": None}
    path.write_text('{"a": 1,\n oops}')
    with pytest.raises(DataError, match=r"a\.json, line 2: not JSON"):
        read_json(path)
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(DataError, match=r"a\.json: not UTF-8 text \(byte 7\)"):
        read_json(path)
    with pytest.raises(DataError, match="there is no such file"):
        read_json(tmp_path / "none.json")
    path.write_text("[" * 200_000)
    with pytest.raises(DataError, match=r"a\.json"):
        read_json(path)


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


_COUNT = """
import sys, time
from pathlib import Path
from miacap.files import lock
folder = Path(sys.argv[1])
for _ in range(20):
    with lock(folder / "lock"):
        number = int((folder / "n").read_text())
        time.sleep(0.001)
        (folder / "n").write_text(str(number + 1))
"""


def test_a_lock_keeps_two_processes_apart(tmp_path: Path) -> None:
    (tmp_path / "n").write_text("0")
    command = [sys.executable, "-c", _COUNT, str(tmp_path)]
    workers = [subprocess.Popen(command) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert (tmp_path / "n").read_text() == "40"


def test_a_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("999999999")
    with lock(tmp_path / "lock", timeout=5):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_lock_that_is_held_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(str(os.getpid()))
    with (
        pytest.raises(RunError, match="another process has held this lock"),
        lock(tmp_path / "lock", timeout=0.1),
    ):
        pass


def test_an_endless_number_is_an_answer_too(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1" * 5000)
    with pytest.raises(DataError, match=r"a\.json: cannot be read"):
        read_json(tmp_path / "a.json")
