"""What people and attackers leave in data folders: one sentence, or set aside and listed."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from miacap.data import read, scenes
from miacap.data.features import Given
from miacap.data.photos import TarPhotos
from miacap.data.shards import read_indexes
from miacap.data.store import FeatureStore, Manifest, StoreWriter
from miacap.errors import DataError, RunError
from miacap.files import read_json, write_json

MANIFEST = Manifest("regions", Given("test"), 4, None, None, "test")


def lay(folder: Path, *rows: dict[str, object]) -> Path:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"photo")
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_name_that_no_system_takes_is_set_aside(tmp_path: Path) -> None:
    row = {"file_name": "a.png", "caption": "a dog"}
    found = read(lay(tmp_path, row, {"file_name": "x" * 300, "caption": "a cat"}))
    assert found.ids == ("a.png",) and found.set_aside[0].id == "x" * 300


def test_a_split_is_text(tmp_path: Path) -> None:
    lay(tmp_path, {"file_name": "a.png", "caption": "a dog", "split": ["train"]})
    with pytest.raises(DataError, match=r"line 1: the split of a\.png is text, not list; write"):
        read(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_with_and_without_its_mark(tmp_path: Path, encoding: str) -> None:
    lay(tmp_path, {"file_name": "a.png", "caption": "a dog"})
    text = (tmp_path / "metadata.jsonl").read_text()
    (tmp_path / "metadata.jsonl").write_bytes(text.encode(encoding))
    assert read(tmp_path).captions == {"a.png": ("a dog",)}


@pytest.mark.parametrize("size", [-512, -1024, 2**62])
def test_a_tar_whose_sizes_cannot_be_is_refused(tmp_path: Path, size: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("a.png")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"photo"))
    content = bytearray(buffer.getvalue())
    # A field that begins with 0x80 or 0xff is a number in base 256 (GNU).
    content[124:136] = (b"\x80" if size > 0 else b"\xff") + size.to_bytes(11, "big", signed=True)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    (tmp_path / "p.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"p\.tar: not an uncompressed, whole tar \(the size of"):
        TarPhotos([tmp_path / "p.tar"])


def test_a_writer_killed_at_its_manifest_begins_again(tmp_path: Path) -> None:
    (tmp_path / ".manifest.json.machine-1-2.part").write_bytes(b"half")
    with StoreWriter(tmp_path, MANIFEST) as writer:
        writer.add("a", torch.ones(2, 4))
    assert FeatureStore.open(tmp_path).names == ("a",)
    names = ["manifest.json", "shard-00000.json", "shard-00000.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_store_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("x")
    with pytest.raises(RunError, match=r"store: is a file, not a folder"):
        StoreWriter(tmp_path / "store", MANIFEST).__enter__()


@pytest.mark.parametrize("count", [0, -1])
def test_an_index_with_impossible_counts_is_no_index(tmp_path: Path, count: int) -> None:
    with StoreWriter(tmp_path, MANIFEST) as writer:
        writer.add("a", torch.ones(2, 4))
    path = tmp_path / "shard-00000.json"
    value = read_json(path)
    del value["sha256"]
    write_json(path, {**value, "rows": {"a": count, "b": 2 - count}})
    with pytest.raises(RunError, match="not the index of a shard"):
        read_indexes(tmp_path)


def test_two_who_draw_the_same_scenes_do_not_disturb_each_other(tmp_path: Path) -> None:
    code = f"from miacap.data import scenes; print(len(scenes.draw({str(tmp_path / 's')!r}, 30)))"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in "ab"]
    assert [process.communicate()[0] for process in both] == [b"30\n", b"30\n"]
    assert not [p for p in (tmp_path / "s").iterdir() if p.name.startswith(".")]
    scenes.draw(tmp_path / "t", 30)
    for path in (tmp_path / "t").iterdir():
        assert (tmp_path / "s" / path.name).read_bytes() == path.read_bytes()
