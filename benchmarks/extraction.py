"""How fast photos become regions, against the reference package's own model.

    python benchmarks/extraction.py [--photos N] [--threads N] [--json FILE]

All sides run in this process, in turns, on the same pixels: EfficientNet-Lite2 at 224 px, batches
of 16. Believe the ratios; the rates are this machine's. CPU seconds count this process alone, so
that they mean something on a busy machine. On Linux, see docs/backbones.md for three variables
that make all of it faster.
"""

import argparse
import importlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from miacap.data import Dataset, Entry
from miacap.visual import Grid, decode, extract, load, prepare
from miacap.visual.backbones import read_weights, weights_path
from miacap.visual.efficientnet_lite import build

_NAME, _BATCH, _ROUNDS = "efficientnet-lite2", 16, 5


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
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--photos", type=int, default=96)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--json", type=Path, default=Path("bench/extraction.json"))
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    best = _measure(_sides(Album(chosen.photos)), chosen.photos)
    first = next(iter(best.values()))
    print(f"{'photos':44}{'per second':>12}{'per CPU second':>16}{'ratio (CPU)':>13}")
    for name, (wall, cpu) in best.items():
        print(f"{name:44}{wall:12.1f}{cpu:16.1f}{cpu / first[1]:13.2f}")
    result = {
        "photos": chosen.photos,
        "threads": chosen.threads,
        **{
            name: {
                "per_second": wall,
                "per_cpu_second": cpu,
                "ratio": wall / first[0],
                "ratio_cpu": cpu / first[1],
            }
            for name, (wall, cpu) in best.items()
        },
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"Written to {chosen.json}.")


def _sides(album: Album) -> dict[str, Callable[[], object]]:
    grid = Grid(load(_NAME))
    images = [decode(data) for data in album.files.values()]
    pixels = torch.stack([prepare(image, grid.record) for image in images])
    pixels = pixels.contiguous()
    weights = read_weights(weights_path(_NAME))
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
        "the package's model, as it comes": lambda: batched(reference, pixels),
        "ours, channels last": lambda: batched(plain, last),
        "ours, folded as well (`Grid`)": lambda: batched(grid.rows_of, pixels),
        "ours from JPEG to store (`extract`)": whole,
    }


def _reference(weights: Any) -> Callable[[Any], object]:
    package = importlib.import_module("efficientnet_lite_pytorch")
    network: torch.nn.Module = package.EfficientNet.from_name(_NAME, image_size=224)
    network.load_state_dict(weights)
    return network.eval()


def _measure(sides: dict[str, Callable[[], object]], count: int) -> dict[str, tuple[float, float]]:
    """Photos a second, and a CPU second of this process: the best of several rounds in turns."""
    best = dict.fromkeys(sides, (0.0, 0.0))
    for _ in range(_ROUNDS):
        for name, work in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = max(best[name][0], count / wall), max(best[name][1], count / cpu)
    return best


if __name__ == "__main__":
    main()
