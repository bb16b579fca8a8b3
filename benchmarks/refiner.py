"""The refiner, forward and backward, beside its bare matrix products.

    python benchmarks/refiner.py [--json bench/refiner.json] [--rounds 7] [--threads 1]

The refiner as it is trained at the paper's sizes (width 512, 8 heads, inner 2,048, two
iterations, dropout .1): 32 pictures of 49 regions and 49 concepts, masks given, in float32 and
under bfloat16's autocast. Its bare products: `torch.mm` and `torch.bmm` of the same shapes,
layouts and precision and nothing else, three for each linear layer (forward, to its input, to its
weight) and six for each attention. Masks leave out rows ("some") or none ("none").
All sides run in turn; ratios are of CPU seconds, of the least and of the medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from miacap.files import write_json
from miacap.refiner import MutualIterativeAttention

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


def seconds(call: Callable[[], None]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(precision: str, rounds: int) -> dict[str, dict[str, float]]:
    """Time the bare products and the refiner under both kinds of masks, in turn."""
    sides = {"bare": products(precision)} | {m: refiner(precision, m) for m in MASKED}
    for call in sides.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            times[name].append(seconds(call))
    bare = times["bare"]
    return {
        name: {
            "bare_least": min(bare),
            "bare_median": statistics.median(bare),
            "refiner_least": min(times[name]),
            "refiner_median": statistics.median(times[name]),
            "ratio_of_least": min(times[name]) / min(bare),
            "ratio": statistics.median(times[name]) / statistics.median(bare),
        }
        for name in MASKED
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/refiner.json"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{PICTURES} x {ROWS} rows, {options.threads} thread(s), CPU seconds, least of each")
    print(f"{'':<10}{'left out':>9}{'bare':>8}{'refiner':>9}{'ratio':>7}{'of medians':>12}")
    rows = {precision: measure(precision, options.rounds) for precision in PRECISIONS}
    for precision, kinds in rows.items():
        for masked, row in kinds.items():
            print(
                f"{precision:<10}{masked:>9}{row['bare_least']:>8.3f}{row['refiner_least']:>9.3f}"
                f"{row['ratio_of_least']:>7.2f}{row['ratio']:>12.2f}"
            )
    write_json(options.json, {"threads": options.threads, "rounds": options.rounds, **rows})


if __name__ == "__main__":
    main()
