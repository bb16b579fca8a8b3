"""The whole of `miacap score` with every metric and 1,000 resamples, in fresh processes.

    python benchmarks/scoring.py [--json bench/scoring.json] [--rounds 3] [--captions FILE]

FILE (gzipped JSON) holds `images`, each with `id`, `candidate` and `references`; without it, 5,000
pictures with five references are put together from a few words. The official SPICE needs Java and
a parser that has to be downloaded, so the other side is our own first run: nothing parsed before,
beside the references parsed before and beside everything parsed before. METEOR's index exists on
all sides.
"""

import argparse
import gzip
import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pairs import Row, Times, save

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "metrics" / "val5k_model.json.gz"
_WHO = "a young man|two little girls|a black dog|a group of people|an old woman in a red hat"
_DOES = "riding a brown horse|standing next to a train|jumps over a fence|playing with a ball"
_WHERE = "on a sandy beach|in front of a large building|with trees in the background|near the water"
_SIDES = ("nothing parsed before", "references parsed before", "everything parsed before")
_BARS = ("15 s", "4 s", "")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("bench/scoring.json"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--captions", type=Path, default=_SHARED if _SHARED.exists() else None)
    options = parser.parse_args()
    images = made() if options.captions is None else read(options.captions)
    with tempfile.TemporaryDirectory() as folder:
        times = measured(Path(folder), images, options.rounds)
    pictures = f"{len(images):,} pictures, {sum(len(i['references']) for i in images):,} references"
    cold = times[_SIDES[0]]
    rows = [
        Row(
            f"`miacap score`, METEOR, SPICE, 1,000 resamples; {pictures}",
            _SIDES[0],
            times[side],
            cold,
            bar=bar,
            note=side,
        )
        for side, bar in zip(_SIDES, _BARS, strict=True)
    ]
    save(options.json, rows)


def measured(home: Path, images: list[dict[str, Any]], rounds: int) -> dict[str, Times]:
    """CPU seconds of each side, in turns, after runs that parse what is to be known."""
    references, candidates, first = (home / f"{name}.json" for name in ("refs", "cands", "first"))
    rows = [(i["id"], caption) for i in images for caption in i["references"]]
    write(references, rows)
    write(candidates, [(i["id"], i["candidate"]) for i in images])
    write(first, [(i["id"], i["references"][0]) for i in images])
    cache = home / "cache"
    kept: dict[str, Path | None] = {_SIDES[0]: None}
    for side, captions in zip(_SIDES[1:], (first, candidates), strict=True):
        score(references, captions, cache)
        kept[side] = Path(shutil.copytree(cache, home / side))
    taken: dict[str, list[float]] = {side: [] for side in _SIDES}
    for number in range(rounds):
        for side in _SIDES if number % 2 == 0 else reversed(_SIDES):
            for path in cache.glob("spice-parses*"):
                path.unlink()
            folder = kept[side]
            if folder is not None:
                for path in folder.glob("spice-parses*"):
                    shutil.copy(path, cache)
            taken[side].append(score(references, candidates, cache))
    return {side: Times.of(values) for side, values in taken.items()}


def score(references: Path, candidates: Path, cache: Path) -> float:
    """Score in a fresh process; give its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "miacap", "score", str(references), str(candidates)]
    environment = {**os.environ, "MIACAP_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--quiet"], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write(path: Path, rows: list[tuple[Any, str]]) -> None:
    """Write captions as COCO does."""
    listed = [{"image_id": name, "id": n, "caption": text} for n, (name, text) in enumerate(rows)]
    path.write_text(json.dumps({"annotations": listed}), encoding="utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    """The pictures of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found: list[dict[str, Any]] = json.load(file)["images"]
    return found


def made() -> list[dict[str, Any]]:
    """5,000 pictures with five references."""
    parts = [text.split("|") for text in (_WHO, _DOES, _WHERE)]
    words = ["red", "blue", "green", "tall", "wet", "sunny", "quiet", "crowded", "small", "open"]
    phrases = [" ".join(some) for some in itertools.product(*parts)]
    chance = random.Random(1)

    def caption() -> str:
        return f"{chance.choice(phrases)} and {chance.choice(words)} {chance.choice(words)} things"

    return [
        {"id": n, "candidate": caption(), "references": [caption() for _ in range(5)]}
        for n in range(5_000)
    ]


if __name__ == "__main__":
    main()
