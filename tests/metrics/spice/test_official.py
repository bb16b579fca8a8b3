"""The second stage against the official program: every count, score, tuple and truth value."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from miacap.metrics.spice import SpiceScores, score_tuples

HERE = Path(__file__).parent


def _score(images: list[dict[str, Any]]) -> SpiceScores:
    references = [image["refs"] for image in images]
    return score_tuples(references, [image["test"] for image in images], detailed=True)


def _check(images: list[dict[str, Any]], scores: SpiceScores) -> None:
    for image, found, matching in zip(images, scores.per_picture, scores.matchings, strict=True):
        for category, expected in image["scores"].items():
            for name, value in expected.items():
                ours = found[category][name]
                where = (image["image_id"], category, name)
                assert math.isnan(ours) if value is None else ours == value, where
        said, wanted = matching.printed()
        for ours_tuples, official in ((said, image["test_tuples"]), (wanted, image["ref_tuples"])):
            printed = [[list(parts), truth] for parts, truth in ours_tuples]
            assert printed == official, image["image_id"]


@pytest.mark.usefixtures("dictionary")
def test_sixteen_pictures() -> None:
    images = json.loads((HERE / "official_tuples.json").read_text(encoding="utf-8"))["images"]
    scores = _score(images)
    _check(images, scores)
    official = [image["scores"]["All"]["f"] for image in images]
    assert scores.corpus == pytest.approx(sum(official) / len(official), abs=1e-12)
    assert scores.values == official


@pytest.mark.usefixtures("dictionary")
@pytest.mark.parametrize("name", ["fakecap", "test1000"])
def test_all_pictures(name: str, shared: Path) -> None:
    with gzip.open(shared / "metrics" / f"spice_tuples_{name}.json.gz", "rt") as file:
        content = json.load(file)
    images = content["images"]
    scores = _score(images)
    _check(images, scores)
    assert scores.corpus == pytest.approx(content["mean_f_All"], abs=1e-6)
    for category, value in scores.categories.items():
        per_picture = [image["scores"][category]["f"] for image in images]
        known = [f for f in per_picture if f is not None]
        assert value == pytest.approx(np.mean(known), abs=1e-9)
