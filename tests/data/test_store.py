"""The feature store: what goes in comes out, and damage of any kind is named."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from miacap.data import FeatureStore, Manifest, StoreWriter
from miacap.data.features import Preprocessing
from miacap.data.tensors import is_finite
from miacap.errors import DataError, RunError

SHARD = 3


def manifest(**change: Any) -> Manifest:
    given: dict[str, Any] = {
        "kind": "regions", "preprocessing": Preprocessing("toy", "ab" * 32), "width": 5,
        "words": None, "extractor": None, "made_by": "test",
    }  # fmt: skip
    return Manifest(**(given | change))


def rows(number: int) -> Tensor:
    """Features of picture `number`: 1 to 3 rows."""
    generator = torch.Generator().manual_seed(number)
    return torch.randn(1 + number % 3, 5, generator=generator)


def fill(folder: Path, count: int, start: int = 0) -> None:
    with StoreWriter(folder, manifest(), SHARD) as writer:
        for number in range(start, count):
            name = f"p{number}.jpg"
            if name in writer.done:
                continue
            if number % 4 == 3:
                writer.set_aside(name, f"broken {number}")
            else:
                matrix = rows(number)
                writer.add(name, matrix, torch.full((len(matrix), 4), number / 100))


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    fill(tmp_path / "store", 11)
    return tmp_path / "store"


def test_what_goes_in_comes_out(filled: Path) -> None:
    store = FeatureStore.open(filled)
    numbers = [n for n in range(11) if n % 4 != 3]
    assert store.names == tuple(f"p{n}.jpg" for n in numbers)
    assert len(store) == 9 and "p0.jpg" in store and "p3.jpg" not in store
    assert store.set_aside == {"p3.jpg": "broken 3", "p7.jpg": "broken 7"}
    for number in reversed(numbers):
        found = store.rows(f"p{number}.jpg")
        assert found.dtype == torch.float16 and torch.equal(found, rows(number).half())
        boxes = store.boxes(f"p{number}.jpg")
        assert boxes is not None
        assert torch.equal(boxes, torch.full((len(found), 4), number / 100))
    two = store.rows_of(["p8.jpg", "p0.jpg"])
    assert torch.equal(two[0], rows(8).half()) and torch.equal(two[1], rows(0).half())
    assert (store.kind, store.manifest) == ("regions", manifest())


def test_the_layout_on_disk(filled: Path) -> None:
    ends = ("json", "safetensors")
    shards = [f"shard-0000{number}.{end}" for number in range(4) for end in ends]
    assert sorted(os.listdir(filled)) == ["manifest.json", *shards]
    assert json.loads((filled / "manifest.json").read_text())["format"] == 1
    index = json.loads((filled / "shard-00000.json").read_text())
    assert index["rows"] == {"p0.jpg": 1, "p1.jpg": 2, "p2.jpg": 3}
    tensors = load_file(filled / "shard-00000.safetensors")
    expected = torch.cat([rows(0), rows(1), rows(2)]).half()
    assert torch.equal(tensors["rows"], expected)


def test_concept_scores_stay_in_single_precision(tmp_path: Path) -> None:
    words = ("dog", "cat", "a")
    about = manifest(kind="concepts", words=words, width=3, extractor="abc")
    scores = torch.tensor([0.1, 0.10001, 0.9])
    with StoreWriter(tmp_path / "c", about) as writer:
        writer.add("p", scores)
        with pytest.raises(DataError, match=r"q: features of shape \(1, 3\), not \(3,\)"):
            writer.add("q", scores[None])
    store = FeatureStore.open(tmp_path / "c")
    assert torch.equal(store.rows("p"), scores) and store.rows("p").dtype == torch.float32
    assert store.boxes("p") is None and store.manifest.words == words


def test_a_store_travels_to_another_process(filled: Path) -> None:
    store = FeatureStore.open(filled)
    store.rows("p0.jpg")
    again = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert torch.equal(again.rows("p0.jpg"), store.rows("p0.jpg"))


def test_pictures_that_are_not_there(filled: Path) -> None:
    store = FeatureStore.open(filled)
    with pytest.raises(DataError) as caught:
        store.require(["p3.jpg", "p0.jpg", "zz"])
    assert "2 of 3 pictures are not in this store of regions, the first: 'p3.jpg', 'zz';" in (
        text := str(caught.value)
    )
    assert "1 of them was set aside when it was made. Extract them " in text
    assert text.endswith(
        f" (miacap features DATA -o {filled}), or leave them out: name the others alone in "
        "--splits FILE (lines id,split)."
    )
    with pytest.raises(DataError, match="'nobody'"):
        store.rows("nobody")


def test_going_on_gives_the_same_bytes(filled: Path, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"

    class Stop(Exception):
        pass

    for end in (2, 5, 8):
        with pytest.raises(Stop), StoreWriter(stopped, manifest(), SHARD) as writer:
            for number in range(end):
                name = f"p{number}.jpg"
                if name not in writer.done:
                    if number % 4 == 3:
                        writer.set_aside(name, f"broken {number}")
                    else:
                        writer.add(
                            name, rows(number), torch.full((1 + number % 3, 4), number / 100)
                        )
            raise Stop
    fill(stopped, 11)
    assert everything(stopped) == everything(filled)


def test_a_finished_store_grows(filled: Path) -> None:
    before = everything(filled)
    fill(filled, 11)
    assert everything(filled) == before
    fill(filled, 14)
    after = everything(filled)
    assert before.items() <= after.items() and len(after) == len(before) + 2
    assert torch.equal(FeatureStore.open(filled).rows("p13.jpg"), rows(13).half())


@pytest.mark.slow
def test_killed_in_the_middle(tmp_path: Path) -> None:
    """SIGKILL while shards are written: what was finished stays, the end result is the same."""
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_store as t
from pathlib import Path
slow = t.rows
def rows(number):
    print(number, flush=True)
    time.sleep(0.002)
    return slow(number)
t.rows = rows
t.fill(Path(sys.argv[1]), 200)
"""
    folder = tmp_path / "killed"
    for limit in (4, 40, 41):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) >= limit:
                    break
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        (folder / ".shard-00099.json.1.2.part").write_bytes(b"left over")
    finished = {name: data for name, data in everything(folder).items() if name[0] == "s"}
    assert finished
    with StoreWriter(folder, manifest(), SHARD) as writer:
        done = set(writer.done)
    assert {f"p{n}.jpg" for n in range(36)} <= done
    fill(folder, 200)
    fill(tmp_path / "whole", 200)
    assert everything(folder) == everything(tmp_path / "whole")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], r"shard-00001\.safetensors: the shard has \d+ bytes, not \d+\."),
        (lambda data: data + b"x", r"shard-00001\.safetensors: the shard has"),
        (
            lambda data: data[:-1] + bytes([data[-1] ^ 1]),
            r"was altered after it was written \(check",
        ),
        (
            lambda data: bytes([data[0] ^ 1]) + data[1:],
            r"shard-00001\.safetensors: the shard was alt",
        ),
        (None, r"shard-00001\.safetensors: the shard is absent\. Delete the shard and its index"),
    ],
)
def test_damaged_shards(filled: Path, damage: Any, message: str) -> None:
    path = filled / "shard-00001.safetensors"
    size = path.stat().st_size
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=message):
        FeatureStore.open(filled).rows("p4.jpg")
    if path.is_file() and path.stat().st_size == size:
        # Shards are checked one by one: the others can be read.
        assert torch.equal(FeatureStore.open(filled).rows("p0.jpg"), rows(0).half())


def test_a_damaged_shard_can_be_made_again(filled: Path) -> None:
    before = everything(filled)
    for path in filled.glob("shard-00003.*"):
        path.unlink()
    fill(filled, 11)
    assert everything(filled) == before


def test_rows_that_contradict_the_index(filled: Path) -> None:
    path = filled / "shard-00001.safetensors"
    save_file({"rows": torch.zeros(2, 7)}, path)
    index = json.loads((filled / "shard-00001.json").read_text())
    from miacap.files import sha256

    index |= {"bytes": path.stat().st_size, "checksum": sha256(path)}
    del index["sha256"]  # an index as an earlier miacap wrote it
    (filled / "shard-00001.json").write_text(json.dumps(index))
    with pytest.raises(RunError, match=r"rows of shape \(2, 7\) and type torch\.float32, not"):
        FeatureStore.open(filled).rows("p4.jpg")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "shard-00001.json",
            "{",
            r"shard-00001\.json, line 1, column \d+: not JSON .*extract again",
        ),
        ("shard-00001.json", "[]", r"shard-00001\.json: its format is None, not a number from 1"),
        ("shard-00001.json", '{"format": 1}', r"shard-00001\.json: not the index of a shard"),
        ("shard-00001.json", '{"format": 1, "rows": {"a": "b"}}', r"not the index of a shard"),
        ("shard-00001.json", '{"format": 2}', r"written in format 2 by a newer miacap; .* up to f"),
        (
            "manifest.json",
            '{"format": 9}',
            r"manifest\.json: written in format 9 by a newer miacap",
        ),
        ("manifest.json", '{"format": 0}', r"manifest\.json: its format is 0, not a number from 1"),
        ("manifest.json", '{"format": 1, "kind": "regoins"}', r"Did you mean 'regions'\?"),
        ("manifest.json", '{"format": 1}', r"manifest\.json: .*missing"),
        ("manifest.json", "x", r"manifest\.json, line 1, column \d+: not JSON"),
    ],
)
def test_damaged_indexes_and_manifests(filled: Path, file: str, text: str, message: str) -> None:
    (filled / file).write_text(text)
    with pytest.raises(RunError, match=message):
        FeatureStore.open(filled)


def test_no_store(tmp_path: Path) -> None:
    make = r"make one: miacap features DATA -o FOLDER$"
    with pytest.raises(
        RunError, match=rf"no feature store here \(there is no such folder\); {make}"
    ):
        FeatureStore.open(tmp_path / "nowhere")
    with pytest.raises(
        RunError, match=rf"no feature store here \(manifest\.json is absent\); {make}"
    ):
        FeatureStore.open(tmp_path)
    (tmp_path / "thesis.doc").write_text("x")
    with (
        pytest.raises(RunError, match=r"holds 'thesis\.doc' and no feature store; choose an empty"),
        StoreWriter(tmp_path, manifest()),
    ):
        pass
    assert os.listdir(tmp_path) == ["thesis.doc"]


def test_another_manifest_says_both(filled: Path) -> None:
    other = manifest(
        preprocessing=Preprocessing("toy", "ab" * 32, size=240), width=7, made_by="later"
    )
    with (
        pytest.raises(RunError) as caught,
        StoreWriter(filled, other),
    ):
        pass
    assert "preprocessing.size: 224 here, 240 now; width: 5 here, 7 now" in str(caught.value)
    assert "Choose another folder, or delete this one" in str(caught.value)
    with StoreWriter(filled, manifest(made_by="later"), SHARD) as writer:
        assert len(writer.done) == 11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "rows hold at least one number"),
        ({"kind": "concepts"}, "needs its 5 words in order"),
        ({"kind": "concepts", "words": ("a",)}, "needs its 5 words in order"),
        ({"words": ("a",) * 5}, "a store of regions has no concept words"),
    ],
)
def test_manifests_that_contradict_themselves(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        manifest(**change)


def test_numbers_are_told_finite_by_their_bits() -> None:
    halves = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.float16)
    finite = halves.isfinite()
    assert is_finite(halves[finite][None]) and is_finite(halves[finite].view(-1, 2).T)
    for odd in halves[~finite]:
        assert not is_finite(torch.stack([torch.zeros_like(odd), odd])[None])
    single = torch.finfo(torch.float32)
    assert is_finite(torch.tensor([[single.max, single.min, single.tiny, -0.0]]))
    for odd in ("inf", "-inf", "nan"):
        assert not is_finite(torch.tensor([[1.0, float(odd)]]))


def test_what_a_writer_refuses(filled: Path) -> None:
    box = torch.zeros(1, 4)
    with StoreWriter(filled, manifest(), SHARD) as writer:
        for name in ("p0.jpg", "p3.jpg"):
            with pytest.raises(RunError, match=rf"'{name}' is in this store already; ask done"):
                writer.add(name, rows(0), box)
        writer.add("new", rows(0), box)
        with pytest.raises(RunError, match="'new' is in this store already"):
            writer.set_aside("new", "twice")
        for wrong in (torch.zeros(5), torch.zeros(2, 4), torch.zeros(0, 5)):
            with pytest.raises(DataError, match=r"x: features of shape \(.*\), not \(k, 5\)"):
                writer.add("x", wrong, box)
        for wrong in (torch.full((1, 5), float("nan")), torch.full((1, 5), 1e6)):
            with pytest.raises(DataError, match=r"not finite in torch\.float16"):
                writer.add("x", wrong, box)
        for wrong in (float("nan"), float("-inf")):
            with pytest.raises(DataError, match=r"^x: boxes hold numbers that are not finite"):
                writer.add("x", rows(0), torch.tensor([[0, 0, 1, wrong]]))
        with pytest.raises(RunError, match="'x' comes without boxes and others do not"):
            writer.add("x", rows(0))
        with pytest.raises(DataError, match=r"boxes of shape \(1, 4\) for 2 regions"):
            writer.add("x", rows(1), box)
    assert "x" not in FeatureStore.open(filled) and "new" in FeatureStore.open(filled)
    with pytest.raises(RunError, match="A shard holds at least one picture, not 0"):
        StoreWriter(filled, manifest(), 0)


def test_a_picture_in_two_shards(filled: Path) -> None:
    for end in ("json", "safetensors"):
        data = (filled / f"shard-00000.{end}").read_bytes()
        (filled / f"shard-00009.{end}").write_bytes(data)
    with pytest.raises(
        RunError, match=r"shard-00009\.json: 'p0\.jpg' is in an earlier shard as well"
    ):
        FeatureStore.open(filled)


def test_one_writer_at_a_time(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miacap.data.writing._LOCK_SECONDS", 0.1)
    with (
        StoreWriter(filled, manifest(), SHARD),
        pytest.raises(RunError, match=r"another miacap \(process \d+\) is at work"),
        StoreWriter(filled, manifest(), SHARD),
    ):
        pass


def test_a_writer_keeps_no_reference_to_what_it_was_given(tmp_path: Path) -> None:
    matrix = torch.ones(1, 5)
    with StoreWriter(tmp_path / "s", manifest()) as writer:
        writer.add("p", matrix)
        matrix.zero_()
    assert torch.equal(FeatureStore.open(tmp_path / "s").rows("p"), torch.ones(1, 5).half())


def test_a_shard_lost_in_the_middle_is_made_again(filled: Path) -> None:
    for path in filled.glob("shard-00001.*"):
        path.unlink()
    assert "p4.jpg" not in FeatureStore.open(filled)
    fill(filled, 11)
    store = FeatureStore.open(filled)
    assert len(store) == 9 and store.set_aside.keys() == {"p3.jpg", "p7.jpg"}
    assert torch.equal(store.rows("p4.jpg"), rows(4).half())
