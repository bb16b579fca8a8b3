"""What a command costs before and beside its work: cold starts, each in a fresh process.

    python benchmarks/starting.py [--run RUN --photo PHOTO] [--json FILE] [--rounds 7]

CPU seconds of the whole process (user and system), one thread, in turns. Captioning stands beside
`import torch` alone, which no command can be without that runs a network; the others beside a
Python that does nothing. Python's bytecode is kept, as that of an installed package is. Without
--run, a tiny run is trained on drawn scenes first: its size is not what a start costs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pairs import Row, in_turns, save

_NOTHING, _TORCH = "Python that does nothing", "import torch"
_CAPTION = "miacap caption, one photo"
_BARS = {_CAPTION: "2.3 CPU s, of which .6 beyond torch"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, help="a trained run folder")
    parser.add_argument("--photo", type=Path, help="a photo for it")
    parser.add_argument("--json", type=Path, default=Path("bench/starting.json"))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if (options.run is None) != (options.photo is None):
        parser.error("--run and --photo come together.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, photo = (options.run, options.photo) if options.run else _tiny(folder)
        sides = {
            work: _starter(command, folder / "cache")
            for work, command in _commands(folder, run, photo).items()
        }
        times = in_turns(sides, options.rounds, _cpu_of_children)
    rows = []
    for work, own in times.items():
        other = _TORCH if work == _CAPTION else _NOTHING
        if work not in (_NOTHING, _TORCH):
            limit, bar = times[other], _BARS.get(work, "")
            rows.append(Row(f"a cold {work}", other, own, limit, is_limit=True, bar=bar))
    beyond = times[_CAPTION].least - times[_TORCH].least
    print(f"miacap caption beyond {_TORCH}: {beyond:.2f} CPU s (asked: .6)")
    save(options.json, rows, caption_beyond_torch=beyond)


def _tiny(folder: Path) -> tuple[Path, Path]:
    """Train a captioner that reads regions and concepts, for a moment; give it and a photo."""
    from miacap import captioning, concepts, visual
    from miacap.concepts import ConceptFolder, ConceptSettings
    from miacap.data import read, scenes
    from miacap.runs import RunSettings

    scenes.draw(folder / "scenes", 48, seed=0)
    dataset = read(folder / "scenes")
    regions = visual.extract(dataset, folder / "features", quiet=True)
    wanted = ConceptSettings()
    wanted = replace(wanted, training=replace(wanted.training, epochs=1))
    concepts.train(regions, dataset, folder / "concepts", wanted, quiet=True)
    settings = RunSettings(
        captioner="spatial-attention", source="combined", sizes={"width": 64}, minimum_count=1
    )
    settings = replace(settings, training=replace(settings.training, epochs=1))
    found = ConceptFolder.open(folder / "concepts")
    captioning.train(dataset, regions, folder / "run", settings, concepts=found, quiet=True)
    photo = folder / "photo.png"
    assert dataset.photos is not None
    photo.write_bytes(dataset.photos.read(next(iter(dataset)).id))
    return folder / "run", photo


def _commands(folder: Path, run: Path, photo: Path) -> dict[str, list[str]]:
    """Name what is run, and how; the captions are few, so that starting is most of it."""
    captions, references = folder / "captions.json", folder / "references.json"
    captions.write_text(json.dumps({"1": "a dog runs in the grass", "2": "a red boat"}))
    references.write_text(json.dumps({"1": ["a dog in the grass"], "2": ["a boat on a lake"]}))
    lines = folder / "lines.txt"
    lines.write_text("A dog runs in the grass.\n")
    miacap = ["-m", "miacap"]
    return {
        _NOTHING: ["-c", "pass"],
        _TORCH: ["-c", _TORCH],
        "miacap --help": [*miacap, "--help"],
        "miacap tokenize, one line": [*miacap, "tokenize", str(lines)],
        "miacap score, two captions that were parsed before": [
            *miacap, "score", str(captions), str(references),
        ],
        _CAPTION: [*miacap, "caption", str(photo), "--run", str(run)],
    }  # fmt: skip


def _starter(command: list[str], cache: Path) -> Callable[[], Any]:
    """A call that runs Python to its end, one thread, with a cache of its own."""
    changes = {"OMP_NUM_THREADS": "1", "MIACAP_CACHE": str(cache)}
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def call() -> None:
        whole = [sys.executable, *command]
        done = subprocess.run(whole, capture_output=True, text=True, env={**kept, **changes})
        if done.returncode:
            raise SystemExit(f"{' '.join(whole)}:\n{done.stderr}")

    return call


def _cpu_of_children(work: Callable[[], Any]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
