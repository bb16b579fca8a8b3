"""BLEU, ROUGE-L and CIDEr-D beside pycocoevalcap's, in one process; both get tokens.

    python benchmarks/metrics.py [--json bench/metrics.json] [--pictures 5000] [--rounds 3]

Prints seconds and ratios: pycocoevalcap, ours with numpy alone, ours with the extra [fast],
and the first compiled call where nothing compiled is cached. The best of the rounds counts.
Seconds are CPU seconds (both sides use one core), so that they mean something on a busy machine.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from miacap.files import write_json
from miacap.metrics.speed import loops

SHARED = Path(__file__).resolve().parents[2] / "shared"
WORDS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")


def captions(pictures: int) -> tuple[str, list[str], list[list[str]]]:
    """Real captions of a captioner on COCO where they lie beside the checkout, else drawn ones."""
    path = SHARED / "metrics" / "val5k_model.json.gz"
    if path.is_file():
        from miacap.metrics.tokens import tokenised

        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = json.load(file)["images"][:pictures]
        candidates = tokenised(row["candidate"] for row in rows)
        return "COCO, Karpathy test", candidates, [tokenised(row["references"]) for row in rows]
    chance = random.Random(0)
    words = [f"w{n}" for n in range(8000)]
    weights = [1 / (n + 1) for n in range(8000)]

    def sentence() -> str:
        return " ".join(chance.choices(words, weights, k=chance.randint(7, 15)))

    lists = [[sentence() for _ in range(5)] for _ in range(pictures)]
    return "drawn words", [sentence() for _ in lists], lists


def official(candidates: list[str], references: list[list[str]]) -> dict[str, float]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    gts = dict(enumerate(references))
    res = {place: [candidate] for place, candidate in enumerate(candidates)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(gts, res)
    found = {f"BLEU-{n}": value for n, value in enumerate(bleu, 1)}
    found["ROUGE-L"] = float(Rouge().compute_score(gts, res)[0])
    found["CIDEr-D"] = float(Cider().compute_score(gts, res)[0])
    return found


def ours(candidates: list[str], references: list[list[str]], compiled: bool) -> dict[str, float]:
    from miacap.metrics import score

    os.environ["MIACAP_COMPILED"] = str(int(compiled))
    return dict(score(references, candidates, WORDS, tokenized=True))


def best(rounds: int, call: Callable[[], Any]) -> tuple[float, Any]:
    times, result = [], None
    for _ in range(rounds):
        start = time.process_time()
        result = call()
        times.append(time.process_time() - start)
    return min(times), result


COLD = """
import json, os, sys, time
os.environ["MIACAP_COMPILED"] = "1"
from miacap.metrics import score
candidates, references, words = json.load(open(sys.argv[1]))
start = time.process_time()
score(references, candidates, words, tokenized=True)
print(time.process_time() - start)
"""


def first_call(candidates: list[str], references: list[list[str]]) -> float:
    """Seconds of the first compiled call of a fresh process without compiled code on disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "captions.json"
        path.write_text(json.dumps([candidates, references, WORDS]), encoding="utf-8")
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-c", COLD, str(path)]
        return float(subprocess.run(command, env=environment, check=True, stdout=-1).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/metrics.json"))
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    name, candidates, references = captions(options.pictures)
    slow, expected = best(min(options.rounds, 2), lambda: official(candidates, references))
    rows: dict[str, float] = {"pycocoevalcap 1.2": slow}
    sides = [("miacap, numpy", False)]
    if loops(10**9) is not None:
        sides.append(("miacap[fast], numba", True))
        ours(candidates, references, True)  # compiled before the clock runs
    for label, compiled in sides:
        seconds, found = best(
            options.rounds * 3, lambda c=compiled: ours(candidates, references, c)
        )
        rows[label] = seconds
        difference = max(abs(found[metric] - expected[metric]) for metric in WORDS)
        assert difference <= 1e-12, difference
    if len(sides) == 2:
        rows["miacap[fast], first call, nothing cached"] = first_call(candidates, references)
    print(f"BLEU-1..4, ROUGE-L, CIDEr-D of {len(candidates)} pictures ({name})")
    print(f"{'':<42}{'CPU s':>9}{'ratio':>8}")
    for label, seconds in rows.items():
        print(f"{label:<42}{seconds:>9.3f}{slow / seconds:>8.1f}")
    ratios = {label: slow / seconds for label, seconds in rows.items()}
    write_json(options.json, {"data": name, "cpu_seconds": rows, "ratios": ratios})


if __name__ == "__main__":
    main()
