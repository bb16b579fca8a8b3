"""BLEU, ROUGE-L and CIDEr-D beside pycocoevalcap's, in one process; both get tokens.

    python benchmarks/metrics.py [--json bench/metrics.json] [--pictures 5000] [--rounds 3]

Prints seconds and ratios: pycocoevalcap, ours with numpy alone, ours with the extra [fast],
and the first compiled call where nothing compiled is cached.
All sides take turns and give the same scores to 1e-12.
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
from pathlib import Path

from miacap.metrics.speed import loops
from pairs import Row, Times, in_turns, save

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
    peer = "pycocoevalcap 1.2"
    sides = {
        peer: lambda: official(candidates, references),
        "numpy": lambda: ours(candidates, references, False),
    }
    if loops(10**9) is not None:
        sides["numba, the extra [fast]"] = lambda: ours(candidates, references, True)
    expected = sides[peer]()
    for label, side in sides.items():
        found = side()
        difference = max(abs(found[metric] - expected[metric]) for metric in WORDS)
        assert difference <= 1e-12, (label, difference)
    times = in_turns(sides, options.rounds)
    work = f"BLEU, ROUGE-L and CIDEr-D of {len(candidates):,} x 5, tokens given"
    asked = {"numpy": "10", "numba, the extra [fast]": "30"}
    rows = [
        Row(work, peer, times[label], times[peer], bar=bar, note=label)
        for label, bar in asked.items()
        if label in times
    ]
    if len(rows) == 2:
        cold = Times.of([first_call(candidates, references) for _ in range(options.rounds)])
        note = "numba, the first call, nothing compiled on disk"
        rows.append(Row(work, peer, cold, times[peer], note=note))
    save(options.json, rows, data=name)


if __name__ == "__main__":
    main()
