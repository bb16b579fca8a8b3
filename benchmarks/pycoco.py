"""Two uses of pycocoevalcap, with it and with our drop-in, only the imports changed.

    python benchmarks/pycoco.py [--json bench/pycoco.json] [--pictures 1000]

1. The example script that pycocoevalcap installs, each side in a process of its own, its start
   included. The original's SPICE is left out, since it downloads its parser; so is ours, and
   then comes ours with SPICE, which is labelled with its parser.
2. An evaluation in the shape of lmms-eval's COCO task: it scores one metric a call, and seven
   times it tokenises and builds its scorers anew. SPICE is left out there, as it is in lmms-eval.

Wall seconds, since half of the original's work is Java's. Both sides must give the same numbers.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from metrics import captions
from miacap.metrics.pycoco.coco import COCO
from pairs import Row, Times, save

METRICS = ("Bleu_4", "Bleu_3", "Bleu_2", "Bleu_1", "METEOR", "ROUGE_L", "CIDEr")
PACKAGES = {"pycocoevalcap 1.2": "pycocoevalcap", "miacap": "miacap.metrics.pycoco"}

# Put before the script, on both sides: a SPICE that gives 0 at once, for the original's downloads.
WITHOUT_SPICE = """
import {package}.eval as evaluation
class Nothing:
    parser = ""
    def method(self): return "SPICE"
    def compute_score(self, gts, res): return 0.0, [0.0] * len(gts)
evaluation.Spice = Nothing
"""
# Put behind it: all digits, as the script prints three.
ALL_DIGITS = """
import json
print(json.dumps(coco_eval.eval))
"""
BUILD_INDEX = "from miacap.metrics.meteor import Meteor; Meteor()"


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


def example(package: str, folder: Path, spice: bool = False) -> tuple[float, dict[str, float]]:
    """Run the installed example script with its imports changed: seconds, and its scores."""
    found = importlib.util.find_spec("pycocoevalcap")
    assert found is not None and found.submodule_search_locations
    installed = Path(found.submodule_search_locations[0]) / "example" / "coco_eval_example.py"
    tools = "pycocotools" if package == "pycocoevalcap" and _has_tools() else PACKAGES["miacap"]
    script = installed.read_text(encoding="utf-8")
    script = script.replace("from pycocotools.", f"from {tools}.")
    script = script.replace("from pycocoevalcap.", f"from {package}.")
    before = "" if spice else WITHOUT_SPICE.format(package=package)
    (folder / "example.py").write_text(before + script + ALL_DIGITS, encoding="utf-8")
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - start
    scores: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds, scores


def _has_tools() -> bool:
    return importlib.util.find_spec("pycocotools") is not None


def examples(packages: dict[str, str], truth: COCO, results: COCO, rounds: int) -> list[Row]:
    """Time the example script on every side, in turns."""
    seconds: dict[str, list[float]] = {}
    found: dict[str, dict[str, float]] = {}
    spiced = "miacap, and SPICE"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in (
            ("captions_val2014.json", truth.dataset),
            ("captions_val2014_fakecap_results.json", results.dataset["annotations"]),
        ):
            (folder / file).write_text(json.dumps(content), encoding="utf-8")
        for _ in range(rounds):
            for label, package in packages.items():
                took, found[label] = example(package, folder)
                seconds.setdefault(label, []).append(took)
            took, _ = example(PACKAGES["miacap"], folder, spice=True)
            seconds.setdefault(spiced, []).append(took)
    work = f"pycocoevalcap's example script of {len(truth.imgs):,} x 5, imports changed"
    notes = {"miacap": "without SPICE", spiced: "ours with SPICE, the original without"}
    return rows_of(work, seconds, found, notes)


def harness(packages: dict[str, str], truth: COCO, results: COCO, rounds: int) -> list[Row]:
    """Time the harness on every side, in turns."""
    found: dict[str, dict[str, float]] = {}
    seconds: dict[str, list[float]] = {label: [] for label in packages}
    for _ in range(rounds):
        for label, package in packages.items():
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                found[label] = {m: one_metric(package, m, truth, results) for m in METRICS}
            seconds[label].append(time.perf_counter() - start)
    work = f"lmms-eval's shape: seven metrics, one a call, {len(truth.imgs):,} x 5"
    return rows_of(work, seconds, found, {"miacap": ""})


def rows_of(
    work: str,
    seconds: dict[str, list[float]],
    found: dict[str, dict[str, float]],
    notes: dict[str, str],
) -> list[Row]:
    """Rows of our sides beside the original, whose scores must differ by less than 1e-9."""
    peer = next(iter(PACKAGES))
    if peer not in seconds:
        for label, took in seconds.items():
            print(f"{work}: {label} {min(took):.2f} s")
        return []
    difference = max(abs(found[peer][m] - found["miacap"][m]) for m in METRICS)
    assert difference <= 1e-9, difference
    theirs = Times.of(seconds[peer])
    return [
        Row(work, peer, Times.of(seconds[label]), theirs, unit="s", note=note)
        for label, note in notes.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("bench/pycoco.json"))
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    name, truth, results = coco(options.pictures)
    packages = dict(PACKAGES)
    if shutil.which("java") is None:
        del packages["pycocoevalcap 1.2"]
        print("no Java here: the original is left out")
    # METEOR's index is built once, before the clock runs; in a process that warms nothing here.
    subprocess.run([sys.executable, "-c", BUILD_INDEX], check=True)
    rows = [
        *examples(packages, truth, results, options.rounds),
        *harness(packages, truth, results, options.rounds),
    ]
    save(options.json, rows, data=name)


if __name__ == "__main__":
    main()
