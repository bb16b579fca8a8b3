"""Our parser against the official program's results on captions that people rated.

The pictures are split in two by a checksum of their name, and rules were chosen by the
"development" part. A caption is the candidate of many pictures, so most candidates of the "check"
part occur in the other one too; the pairs whose candidate does not are tested apart.
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


Wanted = Callable[[dict[str, Any]], bool]


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
def content(shared: Path) -> dict[str, Any]:
    with gzip.open(shared / "metrics" / "expert_half.json.gz", "rt", encoding="utf-8") as file:
        loaded: dict[str, Any] = json.load(file)
    return loaded


@pytest.fixture(scope="module")
def expert(content: dict[str, Any], spice: Spice) -> Callable[[Wanted], Rated]:
    def rated(wanted: Wanted) -> Rated:
        pairs = [pair for pair in content["pairs"] if wanted(pair)]
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


def _part(picture: str, parts: int = 2) -> int:
    return zlib.crc32(picture.encode()) % parts


def _check_without_people(rated: Rated) -> None:
    assert abs(rated.ours.mean() - rated.official.mean()) <= 0.010
    assert np.corrcoef(rated.ours, rated.official)[0, 1] >= 0.85


def test_forty_pictures(expert: Callable[[Wanted], Rated]) -> None:
    rated = expert(lambda pair: _part(pair["picture"], 12) == 1)
    assert len(rated.ours) > 150
    _check_without_people(rated)


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 1], ids=["development", "check"])
def test_half_of_flickr8k_expert(part: int, expert: Callable[[Wanted], Rated]) -> None:
    rated = expert(lambda pair: _part(pair["picture"]) == part)
    assert len(rated.ours) > 1_400
    rated.check()


@pytest.mark.slow
def test_candidates_that_are_not_in_the_development_part(
    content: dict[str, Any], expert: Callable[[Wanted], Rated]
) -> None:
    seen = {pair["candidate"] for pair in content["pairs"] if _part(pair["picture"]) == 0}
    for picture, captions in content["references"].items():
        if _part(picture) == 0:
            seen.update(captions)
    rated = expert(lambda p: _part(p["picture"]) == 1 and p["candidate"] not in seen)
    assert len(rated.ours) > 150
    _check_without_people(rated)


@pytest.mark.slow
def test_the_demo_results_of_coco(shared: Path, spice: Spice) -> None:
    """The published SPICE of these 1,000 captions is 0.133."""
    with gzip.open(shared / "metrics" / "fakecap.json.gz", "rt", encoding="utf-8") as file:
        pictures = json.load(file)["tokenized"]
    references = [picture["references"] for picture in pictures]
    scores = spice.score(references, [picture["candidate"] for picture in pictures])
    assert abs(scores.corpus - 0.133) <= 0.010
