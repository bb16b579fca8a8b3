"""How fast photos become regions, beside the bare network and the reference package's own model.

    python benchmarks/extraction.py [--json bench/extraction.json] [--rounds 5] [--photos 32]

EfficientNet-Lite2 at 224 px, batches of 16, one thread. All sides take turns on the same pixels, in
one process for each way of the C library: freed memory kept, as the commands have it
(docs/backbones.md), and as it comes. The limit of the way from JPEG to store is the folded network
alone, on pixels that lie ready.
"""

import argparse
import importlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from miacap.data import Dataset, Entry
from miacap.memory import keep_freed
from miacap.visual import Grid, decode, extract, load, prepare
from miacap.visual.backbones import weights_path
from miacap.visual.efficientnet_lite import build
from miacap.visual.libraries import read_file
from pairs import Row, Times, in_turns, save

_NAME, _BATCH = "efficientnet-lite2", 16
_PACKAGE = "efficientnet_lite_pytorch's model"
_PLAIN, _BARE, _STORE = "channels last", "folded as well", "JPEG to store"
_KEPT, _COMES = "freed memory kept", "memory as it comes"


class Album:
    """JPEG files in memory, drawn from smooth noise, as large as the usual data sets' photos."""

    def __init__(self, count: int) -> None:
        chance = np.random.default_rng(0)
        self.files: dict[str, bytes] = {}
        for i in range(count):
            coarse = Image.fromarray(chance.integers(0, 256, (24, 32, 3), np.uint8))
            file = io.BytesIO()
            coarse.resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            self.files[f"{i}.jpg"] = file.getvalue()

    def read(self, id: str) -> bytes:
        """Give a file's bytes."""
        return self.files[id]

    def __contains__(self, id: object) -> bool:
        return id in self.files


def main() -> None:
    """Measure both ways, each in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("bench/extraction.json"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--way", choices=(_KEPT, _COMES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(_measured(options.way, options.photos, options.rounds)))
        return
    rows: list[Row] = []
    for way in (_KEPT, _COMES):
        own = [sys.executable, __file__, "--way", way]
        numbers = ["--photos", str(options.photos), "--rounds", str(options.rounds)]
        done = subprocess.run([*own, *numbers], check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        if found is None:
            print("Another C library: freed memory is not kept.")
            continue
        rows += _rows({name: Times(*pair) for name, pair in found.items()}, options.photos, way)
    save(options.json, rows)


def _measured(way: str, photos: int, rounds: int) -> dict[str, tuple[float, float]] | None:
    """Least and median CPU seconds of each side; None where memory cannot be kept."""
    if way == _KEPT and not keep_freed():
        return None
    torch.set_num_threads(1)
    times = in_turns(_sides(Album(photos)), rounds)
    return {name: (own.least, own.median) for name, own in times.items()}


def _rows(times: dict[str, Times], photos: int, way: str) -> list[Row]:
    of = f"{photos} photos of 500 x 375, lite2"
    rows = [
        Row(
            f"{_STORE}, {of}", "the folded network alone", times[_STORE], times[_BARE],
            is_limit=True, bar="1.05", note=way,
        )
    ]  # fmt: skip
    for name in (_PLAIN, _BARE):
        work = f"the network on {of}, {name}"
        rows.append(Row(work, _PACKAGE, times[name], times[_PACKAGE], note=way))
    return rows


def _sides(album: Album) -> dict[str, Callable[[], object]]:
    grid = Grid(load(_NAME))
    images = [decode(data) for data in album.files.values()]
    pixels = torch.stack([prepare(image, grid.record) for image in images])
    pixels = pixels.contiguous()
    weights = read_file(weights_path(_NAME))
    plain = build(_NAME, weights, _NAME)
    reference = _reference(weights)
    entries = tuple(Entry(id, (), "none") for id in album.files)
    dataset = Dataset("album", entries, album)

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            extract(dataset, folder, grid.backbone, batch_size=_BATCH, quiet=True)

    def batched(network: Callable[[Any], object], x: torch.Tensor) -> None:
        with torch.inference_mode():
            for part in x.split(_BATCH):
                network(part)

    last = pixels.to(memory_format=torch.channels_last)
    return {
        _PACKAGE: lambda: batched(reference, pixels),
        _PLAIN: lambda: batched(plain, last),
        _BARE: lambda: batched(grid.rows_of, last),
        _STORE: whole,
    }


def _reference(weights: Any) -> Callable[[Any], object]:
    package = importlib.import_module("efficientnet_lite_pytorch")
    network: torch.nn.Module = package.EfficientNet.from_name(_NAME, image_size=224)
    network.load_state_dict(weights)
    return network.eval()


if __name__ == "__main__":
    main()
