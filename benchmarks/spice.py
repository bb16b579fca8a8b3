"""How fast SPICE's two stages are: our parser beside spaCy's, kept parses beside parsing.

    python benchmarks/spice.py [--captions FILE] [--json bench/spice.json] [--rounds 3]

FILE holds one caption a line; without it, captions are put together from a few words. Our parser
and spaCy's own batches work on the same captions in this process; ours goes on to tuples, which
spaCy does not. The whole of `miacap score` is in `benchmarks/scoring.py`.
"""

import argparse
import itertools
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from miacap.metrics.spice import Spice
from miacap.metrics.spice.parsing import CaptionParser, pipeline
from pairs import Row, in_turns, save

_PARTS = (
    "a young man|two little girls|a black dog|a group of people|an old woman in a red hat",
    "riding a brown horse|standing next to a train|jumps over a white fence|are playing with a ball"
    "|holding an umbrella and a bag",
    "on a sandy beach|in front of a large building|with trees in the background|near the water"
    "|while a child looks on",
)
_FEW = 1_000  # captions that spaCy parses


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--captions", type=Path, help="one caption a line")
    parser.add_argument("--json", type=Path, default=Path("bench/spice.json"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    captions = read(options.captions)
    few = captions[:_FEW]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIACAP_CACHE"] = folder
        CaptionParser(on_disk=True).parse(captions)
        shared = CaptionParser(on_disk=False)
        sides = {
            "ours, few": lambda: fresh(shared).parse(few),
            "spaCy, few": lambda: in_batches(few),
            "ours": lambda: fresh(shared).parse(captions),
            "kept": lambda: CaptionParser(on_disk=True).parse(captions),
        }
        times = in_turns(sides, options.rounds)
    rows = [
        Row(
            f"SPICE's parser, {len(few):,} captions",
            "the same model in spaCy's batches",
            times["ours, few"],
            times["spaCy, few"],
            note="ours with its rules, spaCy without",
        ),
        Row(
            f"SPICE's tuples of {len(captions):,} captions",
            "parsing them",
            times["kept"],
            times["ours"],
            note="kept on disk",
        ),
    ]
    save(options.json, rows, parser=Spice().parser.label)


def fresh(shared: CaptionParser) -> CaptionParser:
    """A parser that knows no caption yet, its network loaded."""
    parser = CaptionParser(on_disk=False)
    network = parser.__dict__["_network"] = shared._network
    if network is not None:
        network._forget()
    return parser


def read(path: Path | None) -> list[str]:
    """Give the captions of a file, or made ones, all different."""
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


def in_batches(captions: Sequence[str]) -> None:
    """The parts of the model that the rules need, as spaCy runs them."""
    from spacy.tokens import Doc

    model = pipeline._model()
    documents = (Doc(model.vocab, words=caption.split()) for caption in captions)
    for _ in model.pipe(documents, batch_size=256):
        pass


if __name__ == "__main__":
    main()
