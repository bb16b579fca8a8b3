"""Measure what holds a run back on dev: its search, its words, or what people disagree on.

    python results/limits.py RUN DATA --features FEATURES [--beam 20]

Prints CIDEr-D (frequencies of the split's references, fixed) of

- the run's own search;
- the best of a beam of `--beam`, chosen with the references in hand (oracle): what a perfect
  choice among the run's own captions would give;
- the same captions and people's, each against four references: a person's caption against the four
  others is what a person gets here.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from miacap import data as datasets
from miacap import runs
from miacap.captioning.inputs import Inputs
from miacap.data.store import FeatureStore
from miacap.decoding import beam
from miacap.metrics import DocumentFrequencies, score
from miacap.text import Vocabulary, detokenize

Captions = Mapping[str, tuple[str, ...]]


def hypotheses(
    run: runs.Run, store: FeatureStore, names: list[str], width: int
) -> dict[str, list[str]]:
    """The captions of a beam of each picture, best first."""
    captioner = run.captioner()
    found: dict[str, list[str]] = {}
    inputs = Inputs.of_run(run, store)
    maximum = run.settings.search.maximum_words
    for batch in inputs.batches(names, batch_size=16).ordered():
        with torch.inference_mode():
            several = beam(captioner, batch.pictures, width, maximum, best=width)
        for name, those in zip(batch.pictures.names, several, strict=True):
            found[name] = [_text(run.vocabulary, list(one.words)) for one in those]
    return found


def _text(vocabulary: Vocabulary, words: list[int]) -> str:
    return detokenize(vocabulary.decode(words))


def cider(
    references: Captions, captions: Mapping[str, str], fixed: DocumentFrequencies
) -> np.ndarray:
    """CIDEr-D of each picture's caption, in the order of the references."""
    scores = score(dict(references), dict(captions), ["CIDEr-D"], frequencies=fixed)
    rows = dict(zip(scores.ids, scores.per_picture["CIDEr-D"], strict=True))
    return np.array([rows[name] for name in references])


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--features", required=True, metavar="FEATURES")
    parser.add_argument("--beam", type=int, default=20)
    chosen = parser.parse_args()
    run, store = runs.load(chosen.run), FeatureStore.open(chosen.features)
    references = dict(datasets.read(chosen.data).split("dev").captions)
    fixed = DocumentFrequencies.of_captions(references.values(), "dev")
    own = hypotheses(run, store, list(references), run.settings.search.beam)
    many = hypotheses(run, store, list(references), chosen.beam)
    first = {name: texts[0] for name, texts in own.items()}
    ranks = range(max(len(texts) for texts in many.values()))
    each = np.stack(
        [
            cider(references, {n: t[min(rank, len(t) - 1)] for n, t in many.items()}, fixed)
            for rank in ranks
        ]
    )
    print(
        f"own search, beam {run.settings.search.beam}: {cider(references, first, fixed).mean():.4f}"
    )
    print(f"beam {chosen.beam}: {each[0].mean():.4f}; oracle of it: {each.max(0).mean():.4f}")
    for who in ("run", "people"):
        values = []
        for left in range(min(len(texts) for texts in references.values())):
            others = {n: (*t[:left], *t[left + 1 :]) for n, t in references.items()}
            said = first if who == "run" else {n: t[left] for n, t in references.items()}
            values.append(cider(others, said, fixed).mean())
        spread = f"({min(values):.4f} to {max(values):.4f})"
        print(f"{who} against four references: {np.mean(values):.4f} {spread}")


if __name__ == "__main__":
    main()
