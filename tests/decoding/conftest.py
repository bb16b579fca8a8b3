"""The toy captioners for every test of the room; one thread, because the tensors are tiny."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

_spec = importlib.util.spec_from_file_location("decoding_toys", Path(__file__).with_name("toys.py"))
assert _spec is not None and _spec.loader is not None
sys.modules["decoding_toys"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules["decoding_toys"])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
