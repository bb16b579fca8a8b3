"""Train and score the rungs of results/flickr8k/ladder.json, each beside the one before.

    python results/ladder.py DATA OUT     # whatever is not finished; interrupted, it goes on
    python results/ladder.py DATA         # score the kept captions again
    python results/ladder.py              # make the tables of docs/results.md and README again

OUT gets the stores and runs (some 2 GB). What each rung says of dev and test is kept in
results/flickr8k/dev and test, the numbers in scores.json beside them: nothing is chosen on test.
README has the same beside numbers that others published (published.json, with their sources).
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from miacap import data as datasets
from miacap.files import atomic, write_json
from miacap.metrics import Scores, read_candidates, score
from miacap.metrics.comparisons import intervals, paired_bootstrap
from miacap.metrics.diversity import diversity

HOME = Path(__file__).resolve().parent / "flickr8k"
RUNGS: list[dict[str, Any]] = json.loads((HOME / "ladder.json").read_text(encoding="utf-8"))
NUMBERS, PAGE = HOME / "scores.json", HOME.parents[1] / "docs" / "results.md"
PUBLISHED, README = HOME / "published.json", HOME.parents[1] / "README.md"
METRICS = ("BLEU-4", "ROUGE-L", "CIDEr-D")
_TABLE = re.compile(r"(<!-- ladder -->\n)(.*?)(<!-- end -->)", re.S)


def commands(rung: dict[str, Any], data: str, out: str) -> list[list[str]]:
    """The commands of a rung: its trainings, then its captions of dev and test."""
    lines = [*rung["commands"]]
    for split in ("dev", "test"):
        lines.append(f"{rung['captions']} --split {split} -o {HOME / split / rung['name']}.jsonl")
    return [[part.format(data=data, out=out) for part in shlex.split(line)] for line in lines]


def climb(data: str, out: Path) -> None:
    """Run every command of every rung; those whose result is there return at once."""
    out.mkdir(parents=True, exist_ok=True)
    done = set()
    for rung in RUNGS:
        for line in commands(rung, data, str(out)):
            if tuple(line) in done:
                continue
            print("miacap", shlex.join(line), flush=True)
            subprocess.run([sys.executable, "-m", "miacap", *line], check=True)
            done.add(tuple(line))


def scored(data: str) -> list[dict[str, Any]]:
    """Score the kept captions of dev: each rung, and its gain over the rung that it names."""
    references = dict(datasets.read(data).split("dev").captions)
    kept: dict[str, Scores] = {}
    rows = []
    for rung in RUNGS:
        captions = read_candidates(HOME / "dev" / f"{rung['name']}.jsonl")
        kept[rung["name"]] = scores = score(references, captions, METRICS)
        said, own = diversity(list(captions.values())), intervals(scores)["CIDEr-D"]
        row = {
            "name": rung["name"],
            **{name: round(float(scores[name]), 4) for name in METRICS},
            "interval": [round(own.low, 4), round(own.high, 4)],
            "bad endings": round(said.bad_endings, 4),
            "repeats": round(said.repeats, 4),
            "distinct": len(set(captions.values())),
        }
        if rung["over"]:
            gain = paired_bootstrap(scores, kept[rung["over"]], "CIDEr-D")
            row["gain"] = [round(float(x), 4) for x in (gain.difference, gain.low, gain.high)]
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The table of docs/results.md, in Markdown."""
    lines = [
        "| rung | BLEU-4 | ROUGE-L | CIDEr-D | gain over | bad endings | repeats | distinct "
        "| took |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for rung, row in zip(RUNGS, rows, strict=True):
        low, high = row["interval"]
        gain = "-"
        if "gain" in row:
            difference, least, most = row["gain"]
            gain = f"{rung['over']}: {difference:+.3f} [{least:+.3f}, {most:+.3f}]"
        lines.append(
            f"| **{row['name']}**: {rung['what']} | {row['BLEU-4']:.3f} | {row['ROUGE-L']:.3f} "
            f"| {row['CIDEr-D']:.3f} [{low:.3f}, {high:.3f}] | {gain} | {row['bad endings']:.1%} "
            f"| {row['repeats']:.1%} | {row['distinct']} | {rung['took']} |"
        )
    return "\n".join(lines) + "\n"


def beside_published(rows: list[dict[str, Any]]) -> str:
    """The table of README, in Markdown: ours on dev, above what others published on test."""
    lines = ["| Flickr8k, beam 3 | photos | BLEU-4 | ROUGE-L | CIDEr-D |", "|---|---|---|---|---|"]
    for rung, row in zip(RUNGS, rows, strict=True):
        low, high = row["interval"]
        lines.append(
            f"| ours: {rung.get('short', rung['name'])} | dev | {row['BLEU-4']:.3f} "
            f"| {row['ROUGE-L']:.3f} | {row['CIDEr-D']:.3f} [{low:.3f}, {high:.3f}] |"
        )
    for other in json.loads(PUBLISHED.read_text(encoding="utf-8")):
        lines.append(
            f"| published: [{other['what']}]({other['from']}) | test | {other['BLEU-4']:.3f} "
            f"| {other['ROUGE-L']:.3f} | {other['CIDEr-D']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def page(text: str, made: str) -> str:
    """A page with its table made anew."""
    return _TABLE.sub(lambda match: f"{match[1]}{made}{match[3]}", text)


def main() -> None:
    """Read the command line; climb, score, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", nargs="?", metavar="DATA", help="Flickr8k, as miacap reads it")
    parser.add_argument(
        "out", nargs="?", metavar="OUT", type=Path, help="folder of stores and runs"
    )
    chosen = parser.parse_args()
    if chosen.out:
        climb(chosen.data, chosen.out)
    if chosen.data:
        write_json(NUMBERS, scored(chosen.data))
    rows = json.loads(NUMBERS.read_text(encoding="utf-8"))
    for target, made in ((PAGE, table(rows)), (README, beside_published(rows))):
        text = target.read_text(encoding="utf-8")
        with atomic(target, "w") as file:
            file.write(page(text, made))


if __name__ == "__main__":
    main()
