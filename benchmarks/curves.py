"""What a picture costs as one size grows: regions, steps, beam, vocabulary, pictures at once.

    python benchmarks/curves.py [--rounds 3] [--json bench/curves.json]

Spatial-Attention, fed `combined`, at its paper's width of 512, with drawn pictures, one thread. One
size changes at a time, from: 49 regions, 2 steps, beam 3, 9,487 words, 16 pictures at once. Numbers
are CPU seconds a picture: of a training step (5 captions of 17 words), and of a search over 16
words. All points of a curve take turns.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from miacap import captioners
from miacap.decoding import SearchSettings, search
from miacap.pictures import Pictures, collate
from pairs import in_turns, save

RAW, CAPTIONS, LENGTH, CONCEPTS = 1280, 5, 17, 1000


@dataclass(frozen=True)
class Sizes:
    """One point: everything that a curve may change."""

    regions: int = 49
    iterations: int = 2
    beam: int = 3
    words: int = 9487
    pictures: int = 16


CURVES: dict[str, tuple[int, ...]] = {
    "regions": (9, 36, 49, 100, 196),
    "iterations": (0, 1, 2, 3, 5),
    "beam": (1, 2, 3, 5, 10),
    "words": (1500, 2500, 5000, 9487, 20_000),
    "pictures": (1, 4, 16, 64),
}


def drawn(sizes: Sizes) -> Pictures:
    """Draw pictures of full size."""
    generator = torch.Generator().manual_seed(0)
    return collate(
        [str(number) for number in range(sizes.pictures)],
        [torch.randn(sizes.regions, RAW, generator=generator) for _ in range(sizes.pictures)],
        scores=[torch.rand(CONCEPTS, generator=generator) for _ in range(sizes.pictures)],
        concept_words=torch.arange(4, 4 + CONCEPTS),
    )


def build(sizes: Sizes) -> Any:
    """Build the captioner; a word that ends a caption is made unlikely, so that all are long."""
    torch.manual_seed(0)
    return captioners.build(
        "spatial-attention",
        "combined",
        words=sizes.words,
        region_width=RAW,
        width=512,
        iterations=sizes.iterations,
    )


def step(sizes: Sizes) -> Callable[[], Any]:
    """A call that does one training step's forward and backward pass."""
    captioner, pictures = build(sizes).train(), drawn(sizes)
    shape = (2, sizes.pictures, CAPTIONS, LENGTH)
    generator = torch.Generator().manual_seed(1)
    words, targets = torch.randint(4, sizes.words, shape, generator=generator).unbind(0)

    def call() -> None:
        logits = captioner(pictures, words)
        cross_entropy(logits.flatten(0, 2), targets.flatten()).backward()
        captioner.zero_grad()

    return call


def searching(sizes: Sizes) -> Callable[[], Any]:
    """A call that searches captions of 16 words."""
    captioner, pictures = build(sizes).eval(), drawn(sizes)
    settings = SearchSettings(beam=sizes.beam, maximum_words=16, minimum_words=16)
    return lambda: search(captioner, pictures, settings)


def curve(name: str, make: Callable[[Sizes], Callable[[], Any]], rounds: int) -> list[list[float]]:
    """CPU seconds a picture at each size: [size, least, median]."""
    points = {size: replace(Sizes(), **{name: size}) for size in CURVES[name]}
    times = in_turns({str(size): make(point) for size, point in points.items()}, rounds)
    return [
        [size, times[str(size)].least / point.pictures, times[str(size)].median / point.pictures]
        for size, point in points.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("bench/curves.json"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for kind, make in (("training step", step), ("search", searching)):
        for name in CURVES:
            if kind == "training step" and name == "beam":
                continue  # training has none
            found = curves.setdefault(name, {})[kind] = curve(name, make, options.rounds)
            told = ", ".join(f"{size:g}: {1000 * least:.1f}" for size, least, _ in found)
            print(f"{kind} over {name}, CPU ms a picture: {told}", flush=True)
    save(options.json, [], curves=curves)


if __name__ == "__main__":
    main()
