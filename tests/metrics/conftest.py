"""The official programs' results, and how ours are compared with them."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Names of the golden files -> ours.
NAMES = {
    "BLEU-1": "BLEU-1",
    "BLEU-2": "BLEU-2",
    "BLEU-3": "BLEU-3",
    "BLEU-4": "BLEU-4",
    "ROUGE_L": "ROUGE-L",
    "CIDEr": "CIDEr-D",
    "METEOR": "METEOR",
}


@dataclass(frozen=True)
class Golden:
    """One golden file: raw captions, tokenised ones where kept, official scores."""

    content: dict[str, Any]

    @property
    def candidates(self) -> list[str]:
        return [row["candidate"] for row in self.content["images"]]

    @property
    def references(self) -> list[list[str]]:
        return [row["references"] for row in self.content["images"]]

    @property
    def tokenized_candidates(self) -> list[str]:
        return [row["candidate"] for row in self.content["tokenized"]]

    @property
    def tokenized_references(self) -> list[list[str]]:
        return [row["references"] for row in self.content["tokenized"]]

    def check(self, scores: Any, tolerance: float = 1e-12) -> None:
        """Assert that corpus and per-picture scores equal the official ones."""
        for official, name in NAMES.items():
            if name not in scores:
                continue
            assert abs(scores[name] - self.content["corpus"][official]) <= tolerance, name
            expected = np.array(self.content["per_image"][official])
            found = np.array(scores.per_picture[name])
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() <= tolerance, name


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Golden]:
    def load(name: str) -> Golden:
        path = shared / "metrics" / f"{name}.json.gz"
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return Golden(json.load(file))

    return load


@pytest.fixture(scope="session")
def edge(golden: Callable[[str], Golden]) -> Golden:
    return golden("edge")


@pytest.fixture(scope="session")
def fakecap(golden: Callable[[str], Golden]) -> Golden:
    return golden("fakecap")
