"""What a packed captioner does on the dev split, and on the photos of this repository."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from miacap.captioning import Pipeline, Row
from miacap.data import Dataset
from miacap.metrics import Scores, score
from miacap.metrics.comparisons import Range, intervals
from miacap.runs import Run
from miacap.text import tokenize_all

METRICS = ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "SPICE")
LEAST = 15
"""Photos that a subject needs to be told."""

NO_PHOTOS: Mapping[str, np.ndarray] = {
    "pure noise": np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8),
    "black": np.zeros((300, 400, 3), dtype=np.uint8),
    "white": np.full((300, 400, 3), 255, dtype=np.uint8),
}
"""What a captioner says something of all the same."""

SUBJECTS: Mapping[str, str] = {
    "dogs": "dog dogs puppy",
    "other animals": "cat cats horse horses bird birds cow cows sheep camel elephant duck ducks",
    "children": "child children kid kids toddler baby boy boys girl girls",
    "ball games": "ball soccer football basketball baseball tennis volleyball hockey",
    "wheels": "bike bikes bicycle bicyclist motorcycle skateboard skateboarder scooter",
    "cars and trains": "car cars truck bus train trains vehicle",
    "snow and ice": "snow snowy ski skis skier skiing snowboard snowboarder sled ice",
    "water": "water pool ocean sea beach lake river wave surfer swimming fountain",
    "mountains and rocks": "mountain mountains cliff climber climbing rock rocks hill",
    "streets and crowds": "street sidewalk city crowd crowded market store shop building",
    "food and tables": "food eating eats table restaurant cake drink drinking kitchen",
}
"""Words of a subject; a photo has it where two of its captions hold one of them."""


@dataclass(frozen=True)
class Found:
    """What came out.

    Attributes:
        rows: captions of the dev photos.
        scores: of them.
        ranges: each score with its interval.
        subjects: subject -> photos, mean CIDEr-D of them.
        photos: file, the captioner's caption, what a person wrote, of the repository's photos.
        unlike: which of some images that are no photos count as out of the run's depth.
    """

    rows: tuple[Row, ...]
    scores: Scores
    ranges: Mapping[str, Range]
    subjects: Mapping[str, tuple[int, float]]
    photos: tuple[tuple[str, str, str], ...]
    unlike: Mapping[str, bool]


def found(run: Run, rows: Sequence[Row], dataset: Dataset, split: str, photos: Path) -> Found:
    """Score the captions of a split, and caption the photos of a folder with CREDITS.csv.

    Args:
        run: that wrote the captions.
        rows: the captions.
        dataset: gives the references.
        split: which pictures.
        photos: the folder of photos whose authors are known.
    """
    part = dataset.split(split)
    told = {row.id: row.caption or "" for row in rows if row.error is None}
    references = {id: part.captions[id] for id in told if id in part.captions}
    scores = score(references, {id: told[id] for id in references}, metrics=METRICS)
    with open(photos / "CREDITS.csv", newline="", encoding="utf-8") as file:
        credits = list(csv.DictReader(file))
    pipeline = Pipeline(run.folder)
    shown = tuple(
        (row["file"], pipeline.caption(photos / row["file"]), row["captions"].split(" | ")[0])
        for row in credits
    )
    return Found(
        tuple(rows),
        scores,
        intervals(scores),
        subjects(references, scores),
        shown,
        unlike(pipeline),
    )


def unlike(pipeline: Pipeline) -> dict[str, bool]:
    """Say which images that are no photos a calibrated run takes for unlike its own."""
    told = {}
    for name, pixels in NO_PHOTOS.items():
        trust = pipeline.row(pixels).confidence
        if trust is not None:
            told[name] = trust.out_of_depth
    return told


def subjects(
    references: Mapping[str, Sequence[str]], scores: Scores
) -> dict[str, tuple[int, float]]:
    """Give the mean CIDEr-D of the photos of each subject, the best first."""
    each = dict(zip(scores.ids, scores.per_picture["CIDEr-D"], strict=True))
    words = {
        id: [set(one) for one in tokenize_all(list(texts))] for id, texts in references.items()
    }
    table = {}
    for name, listed in SUBJECTS.items():
        wanted = set(listed.split())
        having = [id for id in each if sum(bool(one & wanted) for one in words[id]) >= 2]
        if len(having) >= LEAST:
            table[name] = (len(having), sum(each[id] for id in having) / len(having))
    return dict(sorted(table.items(), key=lambda item: -item[1][1]))
