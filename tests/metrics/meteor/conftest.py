"""METEOR's tables, where they are installed."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from miacap.metrics.meteor import Meteor


@pytest.fixture(scope="session")
def tables() -> None:
    """Skip where METEOR's tables are not installed."""
    for name in ("pycocoevalcap", "snowballstemmer"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs the extra [meteor] ({name} is not installed)")


@pytest.fixture(scope="session")
def meteor(tables: None) -> Meteor:
    """The scorer, its index built once in the user's cache."""
    return Meteor(quiet=True)


@pytest.fixture(scope="session")
def official_cases() -> list[dict[str, Any]]:
    """Ninety-nine written cases with the official statistics and scores."""
    text = (Path(__file__).parent / "official_cases.json").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)["rows"]
    return rows
