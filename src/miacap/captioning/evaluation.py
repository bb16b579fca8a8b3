"""Evaluate a run on a split: its captions, their scores, and whether it beats seeing nothing."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from miacap.captioning.controls import best_constant, shuffled
from miacap.captioning.searching import Row, search
from miacap.concepts import extract as concept_scores
from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.files import atomic
from miacap.metrics import Scores, score
from miacap.metrics.comparisons import Interval, paired_bootstrap
from miacap.pictures import Pictures, collate
from miacap.progress import Progress
from miacap.runs import Run
from miacap.settings import to_json
from miacap.visual import require_same

DEFAULT_METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")

_PICTURES_PER_SEARCH = 64


@dataclass(frozen=True)
class Evaluation:
    """What came out: a row a picture, the time, and scores where there are references."""

    rows: tuple[Row, ...]
    seconds: float
    scores: Scores | None = None
    controls: Mapping[str, Interval] = field(default_factory=dict)
    """CIDEr-D above a constant caption and above its own captions shuffled."""

    @property
    def distinct(self) -> int:
        """Number of different captions."""
        return len({row.caption for row in self.rows})

    @property
    def rate(self) -> float:
        """Captions per second, features already extracted."""
        return len(self.rows) / max(self.seconds, 1e-9)


def evaluate(
    run: Run,
    dataset: Dataset,
    split: str,
    regions: FeatureStore,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    beam: int | None = None,
    controls: bool = True,
    concepts_of: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Caption every picture of a split and, where it has references, score the captions.

    Args:
        run: a trained run, or several joined (`captioning.join`).
        dataset: gives the split, and the training captions for the constant control.
        split: its name; pictures without captions are captioned and not scored.
        regions: their features, prepared as the run's were.
        metrics: names that `miacap.metrics.score` knows.
        beam: hypotheses of the search; the run's own unless told.
        controls: compare with a constant caption and with shuffled captions.
        concepts_of: whose concepts a picture gets where not its own; for controls.
        quiet: show no progress.

    Raises:
        RunError: features made in another way than the run's.
    """
    check_features(run, regions)
    part = dataset.split(split)
    names = part.ids
    captioner = run.captioner()
    rows: list[Row] = []
    start = time.monotonic()
    with Progress(f"captioning {split}", len(names), "photos", quiet) as progress:
        batches = pictures_of(run, regions, names, concepts_of)
        settings = run.settings
        width = beam or settings.beam
        for row in search(
            captioner, batches, run.vocabulary, width=width, maximum=settings.maximum_words
        ):
            rows.append(row)
            progress.advance()
    seconds = time.monotonic() - start
    references = {entry.id: entry.captions for entry in part.pictures if entry.captions}
    if not references:
        return Evaluation(tuple(rows), seconds)
    candidates = {row.id: row.caption or "" for row in rows if row.id in references}
    scores = score(references, candidates, metrics=metrics)
    compared = _controls(dataset, references, candidates) if controls else {}
    return Evaluation(tuple(rows), seconds, scores, compared)


def _controls(
    dataset: Dataset, references: Mapping[str, Sequence[str]], candidates: Mapping[str, str]
) -> dict[str, Interval]:
    metric = "CIDEr-D"
    own = score(references, candidates, metrics=(metric,))
    found = {}
    others = {}
    train = dataset.split("train").captions
    if any(train.values()):
        constant = best_constant({name: texts for name, texts in train.items() if texts})
        others["a constant caption"] = dict.fromkeys(candidates, constant)
    if len(candidates) > 1:
        others["its captions shuffled"] = shuffled(candidates)
    for name, other in others.items():
        found[name] = paired_bootstrap(own, score(references, other, metrics=(metric,)), metric)
    return found


def check_features(run: Run, regions: FeatureStore) -> None:
    """Refuse features that were made in another way than the run's. Raises RunError."""
    wanted = to_json(run.preprocessing)
    require_same(wanted, regions.manifest.preprocessing, str(run.folder), str(regions.folder))


def pictures_of(
    run: Run,
    regions: FeatureStore,
    names: Sequence[str],
    concepts_of: Mapping[str, str] | None = None,
) -> Iterable[Pictures]:
    """Batches of stored regions, with concepts of the run's own extractor, in this order.

    ``concepts_of`` says whose concepts a picture gets where not its own.
    """
    extractor = run.extractor
    words = None if extractor is None else run.concept_words(extractor.words)
    for start in range(0, len(names), _PICTURES_PER_SEARCH):
        some = names[start : start + _PICTURES_PER_SEARCH]
        matrices = regions.rows_of(some)
        scores = None
        if extractor is not None:
            seen = matrices
            if concepts_of is not None:
                seen = regions.rows_of([concepts_of.get(name, name) for name in some])
            scores = list(concept_scores(extractor, seen))
        yield collate(
            some,
            matrices,
            scores=scores,
            concept_words=words,
            rows=run.settings.rows,
            concepts=run.settings.concepts,
        )


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines, whole or not at all."""
    with atomic(path, "w") as file:
        for row in rows:
            file.write(json.dumps(row.to_json(), ensure_ascii=False) + "\n")
