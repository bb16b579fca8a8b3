"""An evaluation in the shape of lmms-eval's COCO task with pycocoevalcap and with our drop-in.

    python benchmarks/pycoco.py [--json bench/pycoco.json] [--pictures 1000]

The harness scores one metric a call: seven times it tokenises and builds its scorers anew. Only
the package it imports from differs. The original needs Java for tokens and METEOR; SPICE is left
out, since the original downloads for it. Wall seconds, since half of the original's work is Java's.
"""

import argparse
import contextlib
import importlib
import io
import shutil
import time
from pathlib import Path
from typing import Any

from metrics import captions
from miacap.files import write_json
from miacap.metrics.pycoco.coco import COCO

METRICS = ("Bleu_4", "Bleu_3", "Bleu_2", "Bleu_1", "METEOR", "ROUGE_L", "CIDEr")
PACKAGES = {"pycocoevalcap 1.2": "pycocoevalcap", "miacap": "miacap.metrics.pycoco"}


def one_metric(package: str, metric: str, truth: COCO, results: COCO) -> float:
    """Score one metric as the harness does."""
    module = importlib.import_module(f"{package}.eval")
    tokenizers = importlib.import_module(f"{package}.tokenizer.ptbtokenizer")
    evaluation = module.COCOEvalCap(truth, results)
    names = evaluation.params["image_id"]
    tokenizer = tokenizers.PTBTokenizer()
    gts = tokenizer.tokenize({name: truth.imgToAnns[name] for name in names})
    res = tokenizer.tokenize({name: results.imgToAnns[name] for name in names})
    scorers = {
        "Bleu": module.Bleu(4),
        "METEOR": module.Meteor(),
        "ROUGE_L": module.Rouge(),
        "CIDEr": module.Cider(),
    }
    score, _ = scorers[metric.split("_")[0] if "Bleu" in metric else metric].compute_score(gts, res)
    return float(score[int(metric[-1]) - 1] if isinstance(score, list) else score)


def coco(pictures: int) -> tuple[str, COCO, COCO]:
    """Annotations and results of some pictures."""
    name, candidates, references = captions(pictures)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": place} for place in range(len(references))],
        "annotations": [
            {"image_id": place, "id": 10 * place + n, "caption": caption}
            for place, some in enumerate(references)
            for n, caption in enumerate(some)
        ],
    }
    truth.createIndex()
    rows = [{"image_id": place, "caption": text} for place, text in enumerate(candidates)]
    return name, truth, truth.loadRes(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/pycoco.json"))
    parser.add_argument("--pictures", type=int, default=1000)
    options = parser.parse_args()
    name, truth, results = coco(options.pictures)
    packages = dict(PACKAGES)
    if shutil.which("java") is None:
        del packages["pycocoevalcap 1.2"]
        print("no Java here: the original is left out")
    else:
        one_metric("miacap.metrics.pycoco", "METEOR", truth, results)  # the index exists
    found: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    for label, package in packages.items():
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            found[label] = {m: one_metric(package, m, truth, results) for m in METRICS}
        seconds[label] = time.perf_counter() - start
    print(f"seven metrics, one a call, {options.pictures} pictures ({name})")
    for label, took in seconds.items():
        print(f"{label:<20}{took:>8.2f} s")
    result: dict[str, Any] = {"data": name, "seconds": seconds}
    if len(found) == 2:
        first, second = found.values()
        difference = max(abs(first[m] - second[m]) for m in METRICS)
        assert difference <= 1e-9, difference
        times = list(seconds.values())
        result["ratio"] = times[0] / times[1]
        print(f"{times[0] / times[1]:.1f} times as fast; largest difference {difference:.1e}")
    write_json(options.json, result)


if __name__ == "__main__":
    main()
