"""The global generators of Python, numpy and torch: seeded apart, captured, restored."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


def capture() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Give the states of all generators: torch's as tensors, the others as JSON values."""
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        for index, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"cuda{index}"] = state
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    values = {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), np.asarray(keys).tolist(), position, has_gauss, cached],
    }
    return tensors, values


def restore(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Put back what `capture` gave; generators of GPUs that are not here are left out."""
    torch.set_rng_state(tensors["cpu"].clone())
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            if f"cuda{index}" in tensors:
                torch.cuda.set_rng_state(tensors[f"cuda{index}"].clone(), index)
    version, numbers, gauss = values["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = values["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))


def stream(seed: int, rank: int) -> int:
    """Give the seed of one of several processes: the first one's is the seed itself."""
    if not rank:
        return seed
    return int(np.random.SeedSequence((seed, rank)).generate_state(1, np.uint64)[0]) >> 1


@contextlib.contextmanager
def apart(seed: int, threads: int | None = None) -> Iterator[None]:
    """Seed everything inside, and leave the caller's generators and threads as they were."""
    before = capture()
    threads_before = torch.get_num_threads()
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(threads_before)
        restore(*before)
