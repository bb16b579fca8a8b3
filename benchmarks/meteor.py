"""METEOR beside the official Java program: each in a fresh process, its start included.

    python benchmarks/meteor.py [--pictures 5000] [--rounds 3] [--json bench/meteor.json]

Both sides get the same tokens and must give the same corpus value. Our index of paraphrases is
built beforehand; the time that took, if it was not there, is printed apart. The sides take
turns; CPU seconds include Java's. We promise twice the official speed and under 600 MB.
"""

import argparse
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parents[2] / "shared"

Tokens = list[tuple[str, list[str]]]

_PARTS = (
    "a man|two men|a young girl|a dog|some dogs|a group of people|a woman|several kids",
    "riding|is riding|sitting on|standing next to|holding|plays with|looking at",
    "a wave|a surfboard|a large horse|the big bench|an umbrella|a red ball|a phone",
    "in front of a house|in the ocean|on the street|near a train|at night|in a park",
)


def main() -> None:
    """Measure and print; or, with --side, be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("bench/meteor.json"))
    parser.add_argument("--side", choices=["ours", "official"], help=argparse.SUPPRESS)
    parser.add_argument("--tokens", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        _be(chosen.side, json.loads(chosen.tokens.read_text(encoding="utf-8")))
        return
    _compare(chosen.pictures, chosen.rounds, chosen.json)


def _compare(pictures: int, rounds: int, path: Path) -> None:
    from miacap.metrics.meteor import Meteor
    from pairs import Row, Times, save

    start = time.perf_counter()
    Meteor()
    opening = time.perf_counter() - start
    captions, tokens = _captions(pictures)
    runs: dict[str, list[dict[str, float]]] = {"official": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokens.json"
        file.write_text(json.dumps(tokens), encoding="utf-8")
        for _ in range(rounds):
            for side, found in runs.items():
                found.append(_measure(side, file))
    difference = abs(runs["ours"][0]["corpus"] - runs["official"][0]["corpus"])
    if difference > 1e-12:
        sys.exit(f"the corpus values differ by {difference}")
    work = f"METEOR of {len(tokens):,} x 5, a fresh process, index built"
    bars = {("cpu_seconds", "CPU s"): "", ("seconds", "s"): "2", ("peak_mb", "MB"): "600 MB"}
    rows = []
    for (name, unit), bar in bars.items():
        ours, theirs = (
            Times.of([run[name] for run in runs[side]]) for side in ("ours", "official")
        )
        rows.append(Row(work, "METEOR 1.5 (Java)", ours, theirs, unit=unit, bar=bar))
    print(f"Opening the index took {opening:.2f} s (over 5 s: it was built just now).")
    save(path, rows, captions=captions, opening_seconds=opening)


def _measure(side: str, file: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--side", side, "--tokens", str(file)]
    start = time.perf_counter()
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.perf_counter() - start
    return {"seconds": seconds, **json.loads(printed)}


def _be(side: str, tokens: Tokens) -> None:
    """Score, and print the corpus value with this process's (and Java's) CPU time and memory."""
    scorer: Any
    if side == "official":
        from pycocoevalcap.meteor.meteor import Meteor as Official

        scorer = Official()
        references = {n: captions for n, (_, captions) in enumerate(tokens)}
        corpus, _ = scorer.compute_score(references, {n: [c] for n, (c, _) in enumerate(tokens)})
        del scorer  # stops Java, so that its times can be read
    else:
        from miacap.metrics.meteor import Meteor

        scorer = Meteor(quiet=True)
        corpus = scorer.score([r for _, r in tokens], [c for c, _ in tokens]).corpus
    usages = [
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    ]
    print(
        json.dumps(
            {
                "corpus": corpus,
                "cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in usages),
                "peak_mb": max(usage.ru_maxrss for usage in usages) / 1000,
            }
        )
    )


def _captions(pictures: int) -> tuple[str, Tokens]:
    """A captioner's captions of COCO where they lie beside the checkout, else drawn sentences."""
    path = SHARED / "metrics" / "val5k_model.json.gz"
    if path.is_file():
        from miacap.text import tokenize

        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = json.load(file)["images"][:pictures]
        return "COCO, Karpathy test", [
            (
                " ".join(tokenize(row["candidate"])),
                [" ".join(tokenize(line)) for line in row["references"]],
            )
            for row in rows
        ]
    chance = random.Random(0)
    parts = [part.split("|") for part in _PARTS]

    def sentence() -> str:
        return " ".join(chance.choice(part) for part in parts)

    return "drawn sentences", [
        (sentence(), [sentence() for _ in range(5)]) for _ in range(pictures)
    ]


if __name__ == "__main__":
    main()
