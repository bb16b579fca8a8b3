"""Stores under attack: flipped bytes, links, other people's folders, shards cut while read."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from miacap.data.features import Given
from miacap.data.manifest import Manifest
from miacap.data.sealed import read_sealed, write_sealed
from miacap.data.store import FeatureStore, StoreWriter
from miacap.errors import DataError, MiacapError, RunError
from miacap.files import sha256

WORDS = ("dog", "cat", "bird", "tree")
REGIONS = Manifest("regions", Given("test"), 4, None, None, "test")
CONCEPTS = Manifest("concepts", Given("test"), 4, WORDS, "ab" * 32, "test")


def fill(folder: Path, manifest: Manifest, count: int = 5) -> Path:
    with StoreWriter(folder, manifest, 3) as writer:
        for number in range(count):
            name = f"p{number}.png"
            if name in writer.done:
                continue
            row = torch.arange(4) / 10 + number
            if number == 1:
                writer.set_aside(name, f"{name}: the file is empty", photo="cd" * 32)
            elif manifest.kind == "concepts":
                writer.add(name, row, photo=f"{number:064x}")
            else:
                writer.add(name, row[None], torch.tensor([[0, 0, 1, 1.0]]), photo=f"{number:064x}")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_all(folder: Path) -> None:
    store = FeatureStore.open(folder)
    for name in store.names:
        store.rows(name), store.boxes(name)


@pytest.mark.parametrize("manifest", [REGIONS, CONCEPTS], ids=["regions", "concepts"])
def test_no_flipped_byte_goes_unnoticed(tmp_path: Path, manifest: Manifest) -> None:
    folder = fill(tmp_path, manifest)
    draw = random.Random(0)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place in draw.sample(range(len(whole)), min(len(whole), 150)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << draw.randrange(8)
            path.write_bytes(flipped)
            with pytest.raises(MiacapError) as e:
                read_all(folder)
            assert path.name in str(e.value) and len(str(e.value)) < 400
        path.write_bytes(whole)
    read_all(folder)


def test_the_checksum_covers_names_reasons_and_words(tmp_path: Path) -> None:
    folder = fill(tmp_path, CONCEPTS)
    changes = {"manifest.json": ("bird", "bear"), "shard-00000.json": ("is empty", "is ample")}
    for name, (before, after) in changes.items():
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(before, after))
        with pytest.raises(RunError, match=rf"{name}: altered after it was written \(checksum\)"):
            FeatureStore.open(folder)
        (folder / name).write_text(text)


def test_names_of_any_kind_are_sealed(tmp_path: Path) -> None:
    value = {"rows": {"caf\u00e9": 1, "\udcff.png": 2, 'a"\n}': 3}, "format": 1}
    write_sealed(tmp_path / "i.json", value)
    assert read_sealed(tmp_path / "i.json") == value
    plain = json.loads((tmp_path / "i.json").read_text())
    assert list(plain) == ["rows", "format", "sha256"]


def test_what_was_written_without_a_checksum_is_read(tmp_path: Path) -> None:
    folder = fill(tmp_path, REGIONS)
    for path in folder.glob("*.json"):
        value = json.loads(path.read_text())
        for new in ("sha256", "photos", "again"):
            value.pop(new, None)
        path.write_text(json.dumps(value, indent=2))
    read_all(folder)
    assert FeatureStore.open(folder).photos == {}


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    path.write_text('{"format": 1, "rows": {"a": 1, "a": 2}}')
    with pytest.raises(DataError, match=r"i\.json.*: the key 'a' occurs twice"):
        read_sealed(path)


def test_an_index_without_rows_beside_a_whole_shard(tmp_path: Path) -> None:
    folder = fill(tmp_path, REGIONS)
    path = folder / "shard-00001.json"
    write_sealed(path, {**read_sealed(path), "rows": {}, "photos": {}})
    with pytest.raises(RunError, match=r"names no picture, but shard-00001\.safetensors beside it"):
        FeatureStore.open(folder)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("which", ["rows", "boxes"])
def test_numbers_that_are_not_finite_under_a_right_checksum(
    tmp_path: Path, number: float, which: str
) -> None:
    folder = fill(tmp_path, REGIONS)
    data, path = folder / "shard-00000.safetensors", folder / "shard-00000.json"
    tensors = {"rows": torch.zeros(2, 4).half(), "boxes": torch.zeros(2, 4)}
    tensors[which][1, 3] = number
    save_file(tensors, data)
    sums = {"checksum": sha256(data), "bytes": data.stat().st_size}
    write_sealed(path, {**read_sealed(path), **sums})
    with pytest.raises(RunError, match=r"shard-00000\.safetensors: .* numbers that are not finite"):
        FeatureStore.open(folder).rows("p0.png")


@pytest.mark.parametrize(
    "header",
    [
        b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]",
        b"\x04\0\0\0\0\0\0\0null", b"\x01\0\0\0",
    ],
)  # fmt: skip
def test_headers_of_any_kind_end_in_a_sentence(tmp_path: Path, header: bytes) -> None:
    folder = fill(tmp_path, REGIONS)
    data, path = folder / "shard-00000.safetensors", folder / "shard-00000.json"
    data.write_bytes(header)
    sums = {"checksum": sha256(data), "bytes": len(header)}
    write_sealed(path, {**read_sealed(path), **sums})
    for verify in (True, False):
        with pytest.raises(RunError, match=r"shard-00000\.safetensors: the shard"):
            FeatureStore.open(folder, verify=verify).rows("p0.png")


@pytest.mark.parametrize(
    "said",
    [
        {"dtype": "F64", "shape": [2, 4], "data_offsets": [0, 64]},
        {"dtype": "F16", "shape": [2, 4], "data_offsets": [0, 32]},
        {"dtype": "F16", "shape": [2, 4], "data_offsets": [-16, 0]},
        {"dtype": "F16", "shape": [2, 4], "data_offsets": [10**9, 10**9 + 16]},
        {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]},
        {"dtype": "F16"},
    ],
)
def test_matrices_that_cannot_be(tmp_path: Path, said: dict[str, object]) -> None:
    folder = fill(tmp_path, REGIONS)
    data, path = folder / "shard-00000.safetensors", folder / "shard-00000.json"
    header = json.dumps({"rows": said}).encode()
    data.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    sums = {"checksum": sha256(data), "bytes": data.stat().st_size}
    write_sealed(path, {**read_sealed(path), **sums})
    with pytest.raises(RunError, match=r"shard-00000\.safetensors: the shard cannot be read"):
        FeatureStore.open(folder, verify=False).rows("p0.png")


CUT = """
import os, sys
from miacap.data.store import FeatureStore
from miacap.errors import RunError
store = FeatureStore.open(sys.argv[1])
before = store.rows("p0.png").clone(), store.rows("p4.png")
path = os.path.join(sys.argv[1], "shard-00000.safetensors")
os.truncate(path, 10)
assert float(before[0].sum()) > 0  # what was read stays
try:
    store.rows("p2.png")
except RunError as error:
    print(error)
print(float(store.rows("p4.png").sum()))
"""


def test_a_shard_cut_short_while_it_is_read_ends_in_a_sentence(tmp_path: Path) -> None:
    folder = fill(tmp_path, REGIONS)
    done = subprocess.run(
        [sys.executable, "-c", CUT, str(folder)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{folder}/shard-00000.safetensors: the shard was altered while it")
    assert len(lines) == 2 and done.stderr == ""


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    for name in ("shard-00002.json", "shard-00002.safetensors"):
        folder = fill(tmp_path / name, REGIONS)
        (folder / name).symlink_to(mine if "safetensors" in name else tmp_path / "nothing")
        before = everything(folder) if "safetensors" in name else None
        with pytest.raises(
            RunError,
            match=r"shard-00002\.safetensors: is a link|shard-00002\.json: there is no such",
        ):
            fill(folder, REGIONS, 7)
        assert mine.read_text() == "mine" and not (tmp_path / "nothing").exists()
        if before is not None:  # what was in hand is kept beside it, in files of the store's own
            assert {name: everything(folder)[name] for name in before} == before
    folder = fill(tmp_path / "locked", REGIONS)
    (folder / ".lock").symlink_to(mine)
    with pytest.raises(RunError, match=r"\.lock: is no file of ours"):
        fill(folder, REGIONS, 7)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("names", [("thesis.doc", ".lock"), (".lock",), ("shard-00000.json",)])
def test_a_refused_folder_stays_as_it_was(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text("a person's own")
    for name in (".thesis.doc.machine-1-2.part", ".x.part", ".shard-00000.json.m-1-2.part"):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (0, 0))
    before = everything(tmp_path)
    with pytest.raises(RunError, match=r"holds '.*' and no feature store"):
        fill(tmp_path, REGIONS)
    assert everything(tmp_path) == before


def test_another_store_stays_as_it_was(tmp_path: Path) -> None:
    folder = fill(tmp_path, REGIONS)
    (folder / ".shard-00009.json.m-1-2.part").write_text("half")
    before = everything(folder)
    with pytest.raises(RunError, match="made otherwise"):
        fill(folder, CONCEPTS)
    assert everything(folder) == before


def test_debris_of_a_killed_writer_is_swept_and_nothing_else(tmp_path: Path) -> None:
    folder = fill(tmp_path, REGIONS)
    names = ("manifest.json", "shard-00001.json", "shard-00001.safetensors", "unfinished-2-0.json")
    debris = [f".{name}.m-1-2.part" for name in names]
    for name in [*debris, ".notes.m-1-2.part", ".x.part"]:
        (folder / name).write_text("half")
    fill(folder, REGIONS)
    assert {name for name in everything(folder) if name.startswith(".")} == {
        ".notes.m-1-2.part", ".x.part",
    }  # fmt: skip


def test_a_folder_deleted_while_it_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    with pytest.raises(RunError) as e, StoreWriter(folder, REGIONS, 2) as writer:
        for number in range(4):
            if number == 1:
                for path in folder.iterdir():
                    path.unlink()
                folder.rmdir()
            writer.add(f"p{number}.png", torch.ones(1, 4))
    assert str(e.value) == (
        f"{folder}: was deleted or moved while it was filled. Start the same command again to "
        "begin anew."
    )
    assert not folder.exists()
    fill(folder, REGIONS)
    assert len(FeatureStore.open(folder)) == 4
