import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from miacap.errors import DataError, RunError
from miacap.files import (
    atomic,
    claim,
    folder,
    is_claimed,
    output,
    output_json,
    read_json,
    sha256,
    subfolder,
    write_json,
)
from miacap.locks import lock


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    target = folder(tmp_path / "deep") / "file.txt"
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
from miacap.locks import lock
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_device_is_named_too() -> None:
    with pytest.raises(OSError, match="No space left") as full, output("/dev/full") as file:
        file.write("x")
    assert full.value.filename == "/dev/full"


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
    with output(tmp_path / "link", "w") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with output(tmp_path / "pipe", "w") as file:
        file.write("through")
    assert os.read(reader, 100) == b"through" and (tmp_path / "pipe").is_fifo()
    os.close(reader)
    # A link to the device: were it replaced, it would not be everybody's.
    (tmp_path / "nothing").symlink_to("/dev/null")
    with output(tmp_path / "nothing", "wb") as binary:
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


posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices of POSIX")


def picture(root: Path) -> dict[str, tuple[int, object]]:
    """Everything below a folder: kind and permissions, and content or target."""
    found: dict[str, tuple[int, object]] = {}
    for path in sorted(root.rglob("*")):
        kind = path.lstat().st_mode
        content = os.readlink(path) if path.is_symlink() else None
        found[str(path.relative_to(root))] = (
            kind, path.read_bytes() if path.is_file() and content is None else content
        )  # fmt: skip
    return found


@posix
@pytest.mark.parametrize("kind", ["link", "broken link", "pipe"])
@pytest.mark.parametrize("way", ["atomic", "json", "lock"])
def test_nothing_is_written_through_a_link_or_a_pipe(tmp_path: Path, kind: str, way: str) -> None:
    (tmp_path / "outside").write_text("theirs")
    inside = folder(tmp_path / "run")
    name = inside / ".lock"
    if kind == "pipe":
        os.mkfifo(name)
    else:
        name.symlink_to(tmp_path / ("outside" if kind == "link" else "nowhere"))
    before = picture(tmp_path)
    with pytest.raises(RunError, match=r"\.lock: a link, a pipe or a device"):
        if way == "json":
            write_json(name, {})
        else:
            with atomic(name) if way == "atomic" else lock(name, timeout=0):
                pass
    assert picture(tmp_path) == before


def test_a_lock_that_we_did_not_write_is_left(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("theirs")
    with (
        pytest.raises(RunError, match="a file that miacap did not write"),
        lock(tmp_path / ".lock"),
    ):
        pass
    assert (tmp_path / ".lock").read_text() == "theirs"


@posix
def test_a_folder_of_ours_is_no_link(tmp_path: Path) -> None:
    outside, run = folder(tmp_path / "outside"), folder(tmp_path / "run")
    (run / "checkpoints").symlink_to(outside)
    with pytest.raises(RunError, match="checkpoints: a link"):
        subfolder(run, "checkpoints")
    assert subfolder(run, "others").is_dir()


def test_strangers_half_written_files_are_never_removed(tmp_path: Path) -> None:
    theirs = [".file.txt.mine.part", ".file.txt.part", ".file.txt.a-b-c.part"]
    for name in theirs:
        (tmp_path / name).write_text("theirs")
        os.utime(tmp_path / name, (0, 0))
    with atomic(tmp_path / "file.txt", "w") as file:
        file.write("ours")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*theirs, "file.txt"])


@posix
def test_a_file_that_is_replaced_hands_on_its_permissions(tmp_path: Path) -> None:
    for way in (atomic, output):
        (tmp_path / "a.json").write_text("{}")
        (tmp_path / "a.json").chmod(0o640)
        with way(tmp_path / "a.json", "w") as file:
            file.write("[]")
        assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    (tmp_path / "a.json").chmod(0o604)
    output_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o604


def test_a_folder_that_is_gone_is_a_sentence_and_not_made_anew(tmp_path: Path) -> None:
    for way in (atomic, output):
        said = "none: there is no such folder; make it first"
        with pytest.raises(RunError, match=said), way(tmp_path / "none" / "a", "w"):
            pass
        gone = folder(tmp_path / "gone")
        said = "gone: there is no such folder"
        with pytest.raises(RunError, match=said), way(gone / "a", "w") as file:
            file.write("x")
            shutil.rmtree(gone)
        assert list(tmp_path.iterdir()) == []


def test_the_clean_up_does_not_hide_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "a", "w") as file:
        file.write("x")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), lock(tmp_path / ".lock"):
        raise ZeroDivisionError


def test_a_folder_is_claimed_before_anything_is_written(tmp_path: Path) -> None:
    place = tmp_path / "new" / "run"
    claim(place, "run")
    assert [p.name for p in place.iterdir()] == [".miacap"] and is_claimed(place, "run")
    (place / "data.json").write_text("ours")
    claim(place, "run")  # again: an interrupted call begins anew
    with pytest.raises(RunError, match=r"holds 'data\.json' and is no demo of miacap"):
        claim(place, "demo")
    (folder(tmp_path / "killed") / ".miacap").write_bytes(b"")  # before the first letter
    claim(tmp_path / "killed", "run")
    assert is_claimed(tmp_path / "killed", "run") and not is_claimed(tmp_path, "run")


@posix
@pytest.mark.parametrize("name", ["data.json", "index.html", ".lock", ".x.part", ".miacap", "link"])
def test_a_refused_folder_is_left_byte_for_byte(tmp_path: Path, name: str) -> None:
    place = folder(tmp_path / "mine")
    if name == "link":
        (tmp_path / "outside").write_bytes(b"")
        (place / ".miacap").symlink_to(tmp_path / "outside")
    else:
        (place / name).write_text("theirs")
    before = picture(tmp_path)
    with pytest.raises(RunError, match="choose an empty or new folder"):
        claim(place, "run")
    assert picture(tmp_path) == before
