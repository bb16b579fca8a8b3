import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from miacap.errors import DataError, RunError
from miacap.files import atomic, folder, lock, read_json, sha256, write_json


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
    with pytest.raises(DataError, match=r"a\.json, line 2, column 2: not JSON"):
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


def test_a_lock_that_a_dead_process_left_is_no_hindrance(tmp_path: Path) -> None:
    # Its number may be another process's by now: this one's, for example.
    (tmp_path / "lock").write_text(str(os.getppid()))
    with lock(tmp_path / "lock", timeout=0):
        assert (tmp_path / "lock").read_text() == str(os.getpid())
    assert not (tmp_path / "lock").exists()


def test_a_lock_that_is_held_says_who_holds_it(tmp_path: Path) -> None:
    with lock(tmp_path / "lock"):
        os.utime(tmp_path / "lock", (0, 0))  # however long it takes
        with (
            pytest.raises(RunError, match=rf"another miacap \(process {os.getpid()}\) is at work"),
            lock(tmp_path / "lock", timeout=0.1),
        ):
            pass
        assert (tmp_path / "lock").exists()


def test_a_full_disk_and_a_folder_in_the_way_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError) as found, atomic(tmp_path / "a") as file:
        file.write(b"x")
    assert found.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError) as full, atomic(tmp_path / "b"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.filename == str(tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_file_where_a_folder_should_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    for way in (
        lambda: write_json(tmp_path / "a" / "b" / "c.json", {}),
        lambda: folder_at(tmp_path),
    ):
        with pytest.raises(RunError, match=r"a: is a file, not a folder; choose another place"):
            way()


def folder_at(root: Path) -> Path:
    return folder(root / "a")


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices of POSIX")
def test_links_stay_links_and_pipes_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with atomic(tmp_path / "link", "w") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with atomic(tmp_path / "pipe", "w") as file:
        file.write("through")
    assert os.read(reader, 100) == b"through" and (tmp_path / "pipe").is_fifo()
    os.close(reader)
    # A link to the device: were it replaced, it would not be everybody's.
    (tmp_path / "nothing").symlink_to("/dev/null")
    with atomic(tmp_path / "nothing") as binary:
        binary.write(b"x")
    assert (tmp_path / "nothing").is_char_device()


_DIE = """
import os, sys
from miacap.files import atomic
with atomic(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os._exit(9)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_to_write(tmp_path: Path) -> None:
    target = tmp_path / "file[1].txt"
    subprocess.run([sys.executable, "-c", _DIE, str(target)], check=False)
    (debris,) = tmp_path.iterdir()
    assert debris.name.endswith(".part")
    mine = debris.with_name(re.sub(r"-\d+-", f"-{os.getpid()}-", debris.name))
    mine.write_bytes(b"still being written")
    with atomic(target) as file:
        file.write(b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [mine.name, target.name]
    assert target.read_bytes() == b"whole"


def test_an_endless_number_is_an_answer_too(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1" * 5000)
    with pytest.raises(DataError, match=r"a\.json: cannot be read"):
        read_json(tmp_path / "a.json")
