"""The refiner, forward and backward, beside its bare matrix products.

    python benchmarks/refiner.py [--json bench/refiner.json] [--rounds 7]

The refiner as it is trained at the paper's sizes (width 512, 8 heads, inner 2,048, two
iterations, dropout .1): 32 pictures of 49 regions and 49 concepts, masks given, in float32 and
under bfloat16's autocast. Its bare products: `torch.mm` and `torch.bmm` of the same shapes,
layouts and precision and nothing else, three for each linear layer (forward, to its input, to its
weight) and six for each attention. Masks leave out rows ("some") or none ("none").
All sides take turns on one thread.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from miacap.refiner import MutualIterativeAttention
from pairs import Row, in_turns, save

PICTURES, ROWS, WIDTH, HEADS, INNER, ITERATIONS = 32, 49, 512, 8, 2048, 2
STEPS = 2 * ITERATIONS
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MASKED = ("some", "none")


def refiner(precision: str, masked: str) -> Callable[[], None]:
    """A call that refines a batch and derives by its inputs and parameters."""
    torch.manual_seed(0)
    module = MutualIterativeAttention(WIDTH, HEADS, INNER, ITERATIONS).train()
    regions, concepts = (torch.randn(PICTURES, ROWS, WIDTH).requires_grad_() for _ in range(2))
    slopes = torch.randn(PICTURES, ROWS, WIDTH)
    least = ROWS if masked == "none" else ROWS // 2
    mask = torch.arange(ROWS) < torch.randint(least, ROWS + 1, (PICTURES, 1))
    low = precision == "bfloat16"

    def call() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            combined = module(regions, concepts, mask, mask).combined
        combined.backward(slopes)
        module.zero_grad()
        regions.grad = concepts.grad = None

    return call


def products(precision: str) -> Callable[[], None]:
    """A call that takes the products of all steps, forward and backward."""
    kind = PRECISIONS[precision]

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape).to(kind)

    linear = [(WIDTH, WIDTH)] * 4 + [(INNER, WIDTH), (WIDTH, INNER)]
    layers = [
        (drawn(PICTURES * ROWS, inputs), drawn(outputs, inputs), drawn(PICTURES * ROWS, outputs))
        for outputs, inputs in linear
    ]
    heads = (PICTURES * HEADS, ROWS, WIDTH // HEADS)
    query, key, value, to_read = (drawn(*heads) for _ in range(4))
    weights, to_scores = (drawn(PICTURES * HEADS, ROWS, ROWS) for _ in range(2))

    def call() -> None:
        for _ in range(STEPS):
            for x, weight, slopes in layers:
                torch.mm(x, weight.T)
                torch.mm(slopes, weight)
                torch.mm(slopes.T, x)
            torch.bmm(query, key.mT)
            torch.bmm(weights, value)
            torch.bmm(to_read, value.mT)
            torch.bmm(weights.mT, to_read)
            torch.bmm(to_scores, key)
            torch.bmm(to_scores.mT, query)

    return call


def measure(precision: str, rounds: int) -> list[Row]:
    """Time the bare products and the refiner under both kinds of masks."""
    times = in_turns(
        {"bare": products(precision)} | {m: refiner(precision, m) for m in MASKED}, rounds
    )
    bar = {"float32": "1.25", "bfloat16": "1.5"}[precision]
    work = f"refiner, forward and backward, {PICTURES} x {ROWS} rows, d {WIDTH}, {precision}"
    notes = {"some": "masks leave out rows", "none": "masks leave out none"}
    return [
        Row(work, "its bare matrix products", times[m], times["bare"], True, bar=bar, note=notes[m])
        for m in MASKED
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/refiner.json"))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for precision in PRECISIONS for row in measure(precision, options.rounds)]
    save(options.json, rows)


if __name__ == "__main__":
    main()
