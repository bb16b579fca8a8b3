"""How fast photos become regions, against the reference package's own model.

    python benchmarks/extraction.py [--photos N] [--threads N] [--json FILE]

All sides run in this process, in turns, on the same pixels: EfficientNet-Lite2 at 224 px, batches
of 16. Believe the ratios; the rates are this machine's. CPU seconds count this process alone, so
that they mean something on a busy machine. The last two columns say how much of the bare network's
rate is left from file to store. Freed memory is kept, as the commands do (docs/backbones.md);
--as-it-comes leaves the C library as it is.
"""

import argparse
import importlib
import io
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from miacap.data import Dataset, Entry
from miacap.memory import keep_freed
from miacap.visual import Grid, decode, extract, load, prepare
from miacap.visual.backbones import read_weights, weights_path
from miacap.visual.efficientnet_lite import build

_NAME, _BATCH = "efficientnet-lite2", 16
_BARE = "ours, folded as well (`Grid`)"


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
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--as-it-comes", action="store_true", help="freed memory is not kept")
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    kept = not chosen.as_it_comes and keep_freed()
    seconds = _measure(_sides(Album(chosen.photos)), chosen.rounds)
    rows = _compared(seconds, chosen.photos)
    print(f"{'photos per CPU second':40}{'best':>8}{'median':>8}{'of bare':>9}{'median':>8}")
    for name, row in rows.items():
        print(
            f"{name:40}{row['best']:8.1f}{row['median']:8.1f}"
            f"{row['of_bare_best']:9.2f}{row['of_bare_median']:8.2f}"
        )
    result = {
        "photos": chosen.photos,
        "threads": chosen.threads,
        "freed_memory_kept": kept,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "photos_per_cpu_second": rows,
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
        _BARE: lambda: batched(grid.rows_of, last),
        "ours from JPEG to store (`extract`)": whole,
    }


def _reference(weights: Any) -> Callable[[Any], object]:
    package = importlib.import_module("efficientnet_lite_pytorch")
    network: torch.nn.Module = package.EfficientNet.from_name(_NAME, image_size=224)
    network.load_state_dict(weights)
    return network.eval()


def _measure(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of this process for each side, in rounds in turns after one that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, work in sides.items():
            start = time.process_time()
            work()
            if number:
                seconds[name].append(time.process_time() - start)
    return seconds


def _compared(seconds: dict[str, list[float]], count: int) -> dict[str, dict[str, float]]:
    """Rates, and ratios to the bare network: best against best, and the median over the rounds."""
    bare = seconds[_BARE]
    return {
        name: {
            "best": count / min(own),
            "median": count / statistics.median(own),
            "of_bare_best": min(bare) / min(own),
            "of_bare_median": statistics.median(a / b for a, b in zip(bare, own, strict=True)),
        }
        for name, own in seconds.items()
    }


if __name__ == "__main__":
    main()
