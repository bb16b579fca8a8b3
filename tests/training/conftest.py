"""The toy task for every test of the room; one thread, because the sums are tiny."""

import importlib.util
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from miacap.training import fit

from .endings import SETTINGS


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module toy.py beside this file: `Toy` and `Net`."""
    path = Path(__file__).with_name("toy.py")
    spec = importlib.util.spec_from_file_location("training_toy", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["training_toy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Tests that run in the background of a script are started with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def undisturbed(toy: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    torch.set_num_threads(1)
    fit(toy.Toy(), SETTINGS, folder, quiet=True)
    return folder
