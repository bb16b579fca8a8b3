"""The scripts of `pretrained/`, which are no package."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRETRAINED = ROOT / "pretrained"

if not PRETRAINED.is_dir():  # a source distribution has tests, and no captioner
    collect_ignore_glob = ["test_*.py"]
sys.path.insert(0, str(PRETRAINED))


@pytest.fixture(scope="session")
def package() -> Path:
    """The distribution with the captioner."""
    return PRETRAINED / "flickr8k"
