"""Several processes extract features together: the files of one, each photo read once."""

import importlib.util
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from miacap.data import Dataset, Entry, FeatureStore
from miacap.errors import DataError, RunError
from miacap.locks import lock
from miacap.parts import ALONE
from miacap.training.processes import join
from miacap.visual import Backbone, extract
from miacap.visual.found import Found, packed, unpacked
from miacap.visual.reading import Ready


def _launched() -> Any:
    path = Path(__file__).parents[1] / "training" / "launched.py"
    spec = importlib.util.spec_from_file_location("launched", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules.setdefault("launched", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


launched = _launched()


class Album:
    """Photos in memory that notes what is read, and lets one process die at a photo."""

    def __init__(self, files: dict[str, bytes], deadly: str = "") -> None:
        self.files, self.deadly, self.reads = files, deadly, list[str]()

    def read(self, id: str) -> bytes:
        if id == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self.reads.append(id)
        if self.files[id] == b"gone":
            raise DataError(f"{id}: no such photo in album.")
        return self.files[id]

    def __contains__(self, id: object) -> bool:
        return id in self.files


def photo(number: int) -> bytes:
    values = np.random.default_rng(number).integers(0, 256, (2, 3, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).resize((30, 20), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def album() -> dict[str, bytes]:
    files = {f"{number:03}.png": photo(number) for number in range(33)}
    return {**files, "004.png": b"broken", "017.png": b"gone", "031.png": b"no photo either"}


def fill(folder: Path, shades: Backbone, photos: Album, sharing: Any = ALONE) -> FeatureStore:
    ids = [*photos.files, "not there"]
    dataset = Dataset("album", tuple(Entry(id, (), "none") for id in ids), photos)
    return extract(
        dataset, folder, shades, batch_size=4, quiet=True, shard_size=10, sharing=sharing
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


@pytest.mark.parametrize("world", [2, 3])
def test_the_store_is_that_of_one_process(tmp_path: Path, shades: Backbone, world: int) -> None:
    def work(rank: int) -> Any:
        photos = Album(album())
        store = fill(tmp_path / "several", shades, photos, join("cpu"))
        return [photos.reads, list(store.names)]

    told = launched.together(work, tmp_path / "logs", world)
    alone = fill(tmp_path / "alone", shades, Album(album()))
    assert contents(tmp_path / "several") == contents(tmp_path / "alone")
    assert all(names == list(alone.names) for _, names in told)
    reads = [reads for reads, _ in told]
    assert sorted(name for one in reads for name in one) == sorted(album())  # by one of them
    assert all(len(one) >= 8 for one in reads)
    assert reads[1][:4] == ["004.png", "005.png", "006.png", "007.png"]


def test_a_process_that_dies_leaves_a_store_that_goes_on(tmp_path: Path, shades: Backbone) -> None:
    def work(rank: int) -> str:
        with pytest.raises(RunError) as caught:
            fill(tmp_path / "several", shades, Album(album(), "022.png"), join("cpu"))
        return str(caught.value)

    codes = launched.wait(launched.start(work, tmp_path / "logs"), tmp_path / "logs")
    assert codes == [0, -signal.SIGKILL]
    said = json.loads((tmp_path / "logs" / "0.json").read_text())
    assert said.startswith("Another of the 2 processes is gone")
    kept = FeatureStore.open(tmp_path / "several")
    assert len(kept) < 30  # photos are read ahead, so it may have died early
    # With another number of processes, too.
    fill(tmp_path / "several", shades, Album(album()))
    fill(tmp_path / "alone", shades, Album(album()))
    assert contents(tmp_path / "several") == contents(tmp_path / "alone")


def test_what_the_writer_refuses_all_refuse(tmp_path: Path, shades: Backbone) -> None:
    def work(rank: int) -> str:
        with pytest.raises(RunError) as caught:
            fill(tmp_path / "store", shades, Album(album()), join("cpu"))
        return str(caught.value)

    fill(tmp_path / "store", shades, Album(album()))
    with lock(tmp_path / "store" / ".lock"):
        said = launched.together(work, tmp_path / "logs")
    assert all("is at work in this folder" in one for one in said)


def test_what_was_found_goes_through_bytes() -> None:
    rows, boxes = torch.randn(3, 5), torch.rand(3, 4)
    batch = [
        Found(Ready("ä", object(), (4, 3), note="odd"), (rows, boxes), "ab" * 32),
        Found(Ready("b", None, reason="why", broken=True, to_install=True), None, None),
        Found(Ready("c", object(), (1, 1)), (rows[:0], None), None),
    ]
    first, second, third = unpacked(packed(batch, torch.float16))
    assert first.photo == Ready("ä", None, (4, 3), note="odd") and first.digest == "ab" * 32
    assert first.regions is not None and torch.equal(first.regions[0], rows.half())
    assert torch.equal(first.regions[1], boxes)
    assert second == batch[1]
    assert third.regions is not None and third.regions[1] is None
    assert tuple(third.regions[0].shape) == (0, 5)
    assert unpacked(packed([], torch.float16)) == []
