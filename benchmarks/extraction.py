"""How fast photos become regions, beside the bare network and the reference package's own model.

    python benchmarks/extraction.py [--json bench/extraction.json] [--rounds 5] [--photos 32]

EfficientNet-Lite2 at 224 px, batches of 16, one thread. All sides take turns on the same pixels, in
one process for each way of the C library: freed memory kept, as the commands have it
(docs/backbones.md), and as it comes. The limit of the way from JPEG to store is the folded network
alone, on pixels that lie ready. A third process has photos of three sizes, and each part of the
way; of small ones four times as many, of a camera's an eighth.
"""

import argparse
import hashlib
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
from miacap.data.store import Manifest, StoreWriter
from miacap.memory import keep_freed
from miacap.visual import Grid, decode, extract, load, prepare, preprocessing_for
from miacap.visual.backbones import weights_path
from miacap.visual.efficientnet_lite import build
from miacap.visual.libraries import read_file
from miacap.visual.photo import load as loaded
from miacap.visual.photo import open_file, refusals
from miacap.visual.pixels import Pixels
from pairs import Row, Times, in_turns, save

_NAME, _BATCH = "efficientnet-lite2", 16
_PACKAGE = "efficientnet_lite_pytorch's model"
_PLAIN, _BARE, _STORE = "channels last", "folded as well", "JPEG to store"
_SHORT = "folded, in bfloat16"
_KEPT, _COMES, _SIZES = "freed memory kept", "memory as it comes", "sizes"
_NETWORK, _ALL = "network", "all"
_CAMERA = (4000, 3000)


class Album:
    """JPEG files in memory, drawn from smooth noise with a fine grain on it.

    Args:
        count: how many.
        size: width and height; the default is that of the usual data sets' photos.
        grain: deviation of the grain, in steps of 255.
    """

    def __init__(self, count: int, size: tuple[int, int] = (500, 375), grain: float = 0) -> None:
        chance = np.random.default_rng(0)
        self.files: dict[str, bytes] = {}
        for i in range(count):
            coarse = Image.fromarray(chance.integers(0, 256, (24, 32, 3), np.uint8))
            photo = coarse.resize(size, Image.Resampling.BICUBIC)
            if grain:
                noise = chance.normal(0, grain, (512, 512, 3))
                photo = Image.fromarray(_with_grain(np.asarray(photo), noise))
            file = io.BytesIO()
            photo.save(file, "JPEG", quality=90)
            self.files[f"{i}.jpg"] = file.getvalue()

    def read(self, id: str) -> bytes:
        """Give a file's bytes."""
        return self.files[id]

    def __contains__(self, id: object) -> bool:
        return id in self.files


def _with_grain(pixels: np.ndarray, noise: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    times = (-(-height // len(noise)), -(-width // noise.shape[1]), 1)
    return (pixels + np.tile(noise, times)[:height, :width]).clip(0, 255).astype(np.uint8)


def main() -> None:
    """Measure both ways and the sizes, each in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("bench/extraction.json"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--way", choices=(_KEPT, _COMES, _SIZES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        measure = _by_size if options.way == _SIZES else _measured
        print(json.dumps(measure(options.way, options.photos, options.rounds)))
        return
    rows: list[Row] = []
    for way in (_KEPT, _COMES):
        found = _elsewhere(way, options)
        if found is None:
            print("Freed memory is not kept here: another C library, or MALLOC_... is set.")
            continue
        rows += _rows({name: Times(*pair) for name, pair in found.items()}, options.photos, way)
    sizes = _elsewhere(_SIZES, options)
    for size, parts in sizes.items():
        if size == "500 x 375":
            continue  # measured above, in both ways
        whole, network = (Times(*parts["times"][name]) for name in (_ALL, _NETWORK))
        work = f"{_STORE}, {parts['photos']} photos of {size}, lite2"
        bar = "1.05" if size == "224 x 224" else ""
        limit = "the folded network alone"
        rows.append(Row(work, limit, whole, network, is_limit=True, bar=bar, note=parts["memory"]))
    save(options.json, rows, photos=sizes)


def _elsewhere(way: str, options: argparse.Namespace) -> Any:
    """Measure in a process of its own."""
    own = [sys.executable, __file__, "--way", way]
    numbers = ["--photos", str(options.photos), "--rounds", str(options.rounds)]
    done = subprocess.run([*own, *numbers], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measured(way: str, photos: int, rounds: int) -> dict[str, tuple[float, float]] | None:
    """Least and median CPU seconds of each side; None where memory cannot be kept."""
    if way == _KEPT and not keep_freed():
        return None
    torch.set_num_threads(1)
    return _taken(_sides(Album(photos)), rounds)


def _taken(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    return {name: (own.least, own.median) for name, own in in_turns(sides, rounds).items()}


def _rows(times: dict[str, Times], photos: int, way: str) -> list[Row]:
    of = f"{photos} photos of 500 x 375, lite2"
    rows = [
        Row(
            f"{_STORE}, {of}", "the folded network alone", times[_STORE], times[_BARE],
            is_limit=True, note=way,
        )
    ]  # fmt: skip
    for name in (_PLAIN, _BARE):
        work = f"the network on {of}, {name}"
        rows.append(Row(work, _PACKAGE, times[name], times[_PACKAGE], note=way))
    work = f"the network on {of}, {_SHORT}"
    rows.append(Row(work, "the same in float32", times[_SHORT], times[_BARE], note=way))
    return rows


def _sides(album: Album) -> dict[str, Callable[[], object]]:
    grid = Grid(load(_NAME))
    short = Grid(grid.backbone, preprocessing_for(grid.backbone, precision="bfloat16"))
    images = [decode(data) for data in album.files.values()]
    pixels = torch.stack([prepare(image, grid.record) for image in images])
    pixels = pixels.contiguous()
    weights = read_file(weights_path(_NAME))
    plain = build(_NAME, weights, _NAME)
    reference = _reference(weights)
    last = pixels.to(memory_format=torch.channels_last)
    return {
        _PACKAGE: lambda: _batched(reference, pixels),
        _PLAIN: lambda: _batched(plain, last),
        _BARE: lambda: _batched(grid.rows_of, last),
        _SHORT: lambda: _batched(short.rows_of, last),
        _STORE: lambda: _whole(album, grid),
    }


def _batched(network: Callable[[Any], object], x: torch.Tensor) -> None:
    with torch.inference_mode():
        for part in x.split(_BATCH):
            network(part)


def _whole(album: Album, grid: Grid) -> None:
    dataset = Dataset("album", tuple(Entry(id, (), "none") for id in album.files), album)
    with tempfile.TemporaryDirectory() as folder:
        extract(dataset, folder, regions=grid, batch_size=_BATCH, quiet=True)


def _by_size(_: str, photos: int, rounds: int) -> dict[str, Any]:
    """Give the parts of the way of small photos, of usual ones and of a camera's."""
    memory = _KEPT if keep_freed() else _COMES
    torch.set_num_threads(1)
    albums = (
        ((224, 224), 4 * photos, 0.0),  # a store costs something once, whatever it holds
        ((500, 375), photos, 0.0),
        (_CAMERA, max(1, photos // 8), 7.0),
    )
    found = {}
    for size, count, grain in albums:
        album = Album(count, size, grain)
        found[f"{size[0]} x {size[1]}"] = {
            "photos": count,
            "kilobytes": sum(map(len, album.files.values())) / count / 1000,
            "times": _taken(_parts(album), rounds),
            "memory": memory,
        }
    return found


def _parts(album: Album) -> dict[str, Callable[[], object]]:
    grid = Grid(load(_NAME))
    files = list(album.files.values())
    images = [Pixels(_decoded(data)) for data in files]
    x = torch.stack([prepare(image, grid.record) for image in images])
    x = x.to(memory_format=torch.channels_last)
    rows, sums = grid.rows_of(x).clone(), [hashlib.sha256(data).hexdigest() for data in files]

    def write() -> None:
        manifest = Manifest("regions", grid.record, grid.width, None, None, "a benchmark")
        with tempfile.TemporaryDirectory() as folder, StoreWriter(folder, manifest) as writer:
            for id, own, digest in zip(album.files, rows, sums, strict=True):
                writer.add(id, own, grid.boxes(), photo=digest)

    return {
        _NETWORK: lambda: _batched(grid.rows_of, x),
        "decoding": lambda: [_decoded(data) for data in files],
        "scaling": lambda: [prepare(image, grid.record) for image in images],
        "checksums": lambda: [hashlib.sha256(data).hexdigest() for data in files],
        "writing": write,
        _ALL: lambda: _whole(album, grid),
    }


def _decoded(data: bytes) -> Image.Image:
    with refusals("a photo", data):
        opened, _ = open_file(data, "a photo")
        return loaded(opened, data)[0]


def _reference(weights: Any) -> Callable[[Any], object]:
    package = importlib.import_module("efficientnet_lite_pytorch")
    network: torch.nn.Module = package.EfficientNet.from_name(_NAME, image_size=224)
    network.load_state_dict(weights)
    return network.eval()


if __name__ == "__main__":
    main()
