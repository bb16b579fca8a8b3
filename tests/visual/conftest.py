"""A backbone whose map can be told by eye, and one thread for the small networks of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from miacap.visual import Backbone


class Shades:
    """Mean colours of 32 x 32 pixels: a `Backbone` with V = 3."""

    name = "shades"
    width = 3
    weights_sha256 = "ab" * 32
    mean = std = (0.5, 0.5, 0.5)
    device = torch.device("cpu")

    def map(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 32)


@pytest.fixture
def torch_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of torch's cache of weights."""
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return folder


@pytest.fixture
def shades() -> Backbone:
    return Shades()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
