"""Our parser against the official program's results on captions that people rated.

The pictures are split in two by a checksum of their name: rules were written looking at the
"development" part alone, the "check" part says whether they hold elsewhere.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from miacap.metrics.spice import Spice
from miacap.text import tokenize_all

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rated:
    """Pairs of pictures and captions: our F, the official F, three ratings each."""

    ours: Floats
    official: Floats
    ratings: NDArray[np.int64]
    own: NDArray[np.bool_]

    def check(self) -> None:
        assert abs(self.ours.mean() - self.official.mean()) <= 0.010
        assert np.corrcoef(self.ours, self.official)[0, 1] >= 0.85
        others = ~self.own
        ratings = self.ratings[others].ravel()
        ours, official = (
            _tau_c(np.repeat(values[others], 3), ratings) for values in (self.ours, self.official)
        )
        assert abs(ours - official) <= 0.02


def _tau_c(scores: Floats, ratings: NDArray[np.int64]) -> float:
    """Kendall's tau-c: 2 (concordant - discordant) / (n^2 (m - 1) / m), m = smaller side."""
    levels = np.unique(ratings)
    difference = 0
    for high in levels:
        for low in levels[levels < high]:
            above, below = scores[ratings == high], scores[ratings == low]
            difference += int(np.sign(above[:, None] - below[None, :]).sum())
    m = min(len(levels), len(np.unique(scores)))
    return 2 * difference * m / (len(scores) ** 2 * (m - 1))


@pytest.fixture(scope="module")
def expert(shared: Path, spice: Spice) -> Callable[[Callable[[str], bool]], Rated]:
    with gzip.open(shared / "metrics" / "expert_half.json.gz", "rt", encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)

    def rated(wanted: Callable[[str], bool]) -> Rated:
        pairs = [pair for pair in content["pairs"] if wanted(pair["picture"])]
        names = list(dict.fromkeys(pair["picture"] for pair in pairs))
        references = {name: _sentences(content["references"][name]) for name in names}
        candidates = _sentences([pair["candidate"] for pair in pairs])
        groups = [references[pair["picture"]] for pair in pairs]
        own = [said in group for said, group in zip(candidates, groups, strict=True)]
        return Rated(
            np.array(spice.score(groups, candidates).values),
            np.array([pair["spice_official"]["f"] for pair in pairs]),
            np.array([pair["ratings"] for pair in pairs]),
            np.array(own),
        )

    return rated


def _sentences(captions: list[str]) -> list[str]:
    return [" ".join(tokens) for tokens in tokenize_all(captions)]


def test_tau_c_by_hand() -> None:
    # Pairs of unequal ratings: 4; three agree, one is tied: 2 * 3 * 2 / (16 * 1) = 0.75.
    assert _tau_c(np.array([0.1, 0.2, 0.2, 0.9]), np.array([1, 1, 2, 2])) == 0.75


def test_forty_pictures(expert: Callable[[Callable[[str], bool]], Rated]) -> None:
    rated = expert(lambda name: zlib.crc32(name.encode()) % 12 == 1)
    assert len(rated.ours) > 150
    assert abs(rated.ours.mean() - rated.official.mean()) <= 0.010
    assert np.corrcoef(rated.ours, rated.official)[0, 1] >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 1], ids=["development", "check"])
def test_half_of_flickr8k_expert(
    part: int, expert: Callable[[Callable[[str], bool]], Rated]
) -> None:
    rated = expert(lambda name: zlib.crc32(name.encode()) % 2 == part)
    assert len(rated.ours) > 1_400
    rated.check()


@pytest.mark.slow
def test_the_demo_results_of_coco(shared: Path, spice: Spice) -> None:
    """The published SPICE of these 1,000 captions is 0.133."""
    with gzip.open(shared / "metrics" / "fakecap.json.gz", "rt", encoding="utf-8") as file:
        pictures = json.load(file)["tokenized"]
    references = [picture["references"] for picture in pictures]
    scores = spice.score(references, [picture["candidate"] for picture in pictures])
    assert abs(scores.corpus - 0.133) <= 0.010
