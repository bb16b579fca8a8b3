"""Evaluate a run on a split: its captions, their scores, and whether it beats seeing nothing."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from miacap.captioning.ensembles import with_sources
from miacap.captioning.listed import only_listed, require_lists
from miacap.captioning.preparing import reads_probabilities, set_aside
from miacap.captioning.searching import Row, at_least_one, search
from miacap.concepts import ConceptFolder, Extractor
from miacap.concepts import extract as concept_scores
from miacap.concepts.description import check_fits
from miacap.concepts.task import require_regions
from miacap.data import Dataset
from miacap.data.features import require_same
from miacap.data.store import FeatureStore
from miacap.errors import DataError
from miacap.files import atomic
from miacap.metrics import Scores, score
from miacap.metrics.blind import best_constant, shuffled
from miacap.metrics.comparisons import Interval, paired_bootstrap
from miacap.pictures import Pictures, collate
from miacap.progress import Progress
from miacap.runs import Run

DEFAULT_METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")

_PICTURES_PER_SEARCH = 64


@dataclass(frozen=True)
class Evaluation:
    """What came out: a row a picture, the time, and scores where there are references.

    A picture that was set aside when features or concepts were made has a row with an error,
    and no part in the scores.
    """

    rows: tuple[Row, ...]
    seconds: float
    scores: Scores | None = None
    controls: Mapping[str, Interval] = field(default_factory=dict)
    """CIDEr-D above a constant caption and above its own captions shuffled."""

    @property
    def distinct(self) -> int:
        """Number of different captions."""
        return len({row.caption for row in self.rows if row.error is None})

    @property
    def captioned(self) -> int:
        """Number of pictures that have a caption."""
        return sum(row.error is None for row in self.rows)

    @property
    def rate(self) -> float:
        """Captions per second, features already extracted."""
        return self.captioned / max(self.seconds, 1e-9)


def evaluate(
    run: Run,
    dataset: Dataset,
    split: str,
    regions: FeatureStore,
    *,
    concepts: ConceptFolder | None = None,
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
        concepts: stored concepts, in place of what the run's extractor finds; a run trained on
            concepts from a file needs them, a run without concepts does not look at them.
        metrics: names that `miacap.metrics.score` knows.
        beam: hypotheses of the search; the run's own unless told.
        controls: compare with a constant caption and with shuffled captions.
        concepts_of: whose concepts a picture gets where not its own; for controls.
        quiet: show no progress.

    Raises:
        RunError: features made in another way than the run's, or concepts that are not the
            run's.
        DataError: pictures without features or concepts, or all of them set aside.
        SettingsError: a beam of none.
    """
    at_least_one(beam=beam)
    check_features(run, regions)
    part = dataset.split(split)
    aside = set_aside(part.ids, regions, concepts.store if concepts is not None else None)
    names = [name for name in part.ids if name not in aside]
    if not names:
        first = next(iter(aside.values()))
        raise DataError(
            f"{part.name}: all {len(aside)} pictures of {split} were set aside when features or "
            f"concepts were made, the first: {first}"
        )
    captioner = run.captioner()
    rows: list[Row] = []
    start = time.monotonic()
    with Progress(f"captioning {split}", len(names), "photos", quiet) as progress:
        batches = pictures_of(run, regions, names, concepts_of, concepts)
        settings = run.settings
        width = beam or settings.beam
        for row in search(
            captioner, batches, run.vocabulary, width=width, maximum=settings.maximum_words
        ):
            rows.append(row)
            progress.advance()
    seconds = time.monotonic() - start
    references = {name: part.captions[name] for name in names if name in part.captions}
    candidates = {row.id: row.caption or "" for row in rows if row.id in references}
    by_name = {row.id: row for row in rows} | {n: Row(n, error=aside[n]) for n in aside}
    every = tuple(by_name[name] for name in part.ids)
    if not references:
        return Evaluation(every, seconds)
    scores = score(references, candidates, metrics=metrics)
    compared = _controls(dataset, references, candidates) if controls else {}
    return Evaluation(every, seconds, scores, compared)


def _controls(
    dataset: Dataset, references: Mapping[str, Sequence[str]], candidates: Mapping[str, str]
) -> dict[str, Interval]:
    metric = "CIDEr-D"
    own = score(references, candidates, metrics=(metric,))
    found = {}
    others = {}
    train = {entry.id: entry.captions for entry in dataset if entry.split == "train"}
    if any(train.values()):  # a test set alone has no training captions to take it from
        constant = best_constant({name: texts for name, texts in train.items() if texts})
        others["a constant caption"] = dict.fromkeys(candidates, constant)
    if len(candidates) > 1:
        others["its captions shuffled"] = shuffled(candidates)
    for name, other in others.items():
        found[name] = paired_bootstrap(own, score(references, other, metrics=(metric,)), metric)
    return found


def check_features(run: Run, regions: FeatureStore) -> None:
    """Refuse features that were made in another way than the run's. Raises RunError."""
    require_regions(regions)
    stored = regions.manifest.preprocessing
    require_same(run.preprocessing, stored, str(run.folder), str(regions.folder))


def pictures_of(
    run: Run,
    regions: FeatureStore,
    names: Sequence[str],
    concepts_of: Mapping[str, str] | None = None,
    concepts: ConceptFolder | None = None,
) -> Iterator[Pictures]:
    """Batches of stored regions, with the run's concepts, in this order.

    Args:
        run: a run, or several joined.
        regions: features of the pictures.
        names: the pictures.
        concepts_of: whose concepts a picture gets where not its own.
        concepts: where they are stored; without it the run's own extractor finds them.
    """
    source = _source(run, regions, concepts)
    whose = [(concepts_of or {}).get(name, name) for name in names]
    if concepts is not None and source is not None:
        concepts.store.require(whose)
        if source.listed:
            require_lists(concepts.store, source.words, whose, regions, run.settings.rows)
    for start in range(0, len(names), _PICTURES_PER_SEARCH):
        some = names[start : start + _PICTURES_PER_SEARCH]
        theirs = whose[start : start + _PICTURES_PER_SEARCH]
        pictures = collate(
            some,
            regions.rows_of(some),
            scores=None if source is None else source.scores(theirs),
            concept_words=None if source is None else source.words,
            rows=run.settings.rows,
            concepts=run.settings.concepts,
        )
        if source is not None and source.listed:
            pictures = only_listed(pictures, source.words)
        yield pictures


@dataclass(frozen=True)
class _Source:
    """Where the concepts of pictures come from."""

    words: Tensor
    scores: Callable[[Sequence[str]], list[Tensor]]
    listed: bool = False


def _source(run: Run, regions: FeatureStore, concepts: ConceptFolder | None) -> _Source | None:
    if concepts is not None:
        having = with_sources(run)
        for one, source in having:
            check_fits(source, concepts.source, reads_scores=reads_probabilities(one.settings))
        if not having:
            return None
        words = concepts.store.manifest.words or ()
        return _Source(run.concept_words(words), concepts.store.rows_of, concepts.source.is_lists)
    extractor = run.extractor
    if extractor is None:
        return None
    found: Extractor = extractor
    return _Source(
        run.concept_words(found.words),
        lambda names: list(concept_scores(found, regions.rows_of(names))),
    )


def write_rows(path: str | os.PathLike[str], rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines, whole or not at all."""
    with atomic(path, "w") as file:
        for row in rows:
            file.write(json.dumps(row.to_json(), ensure_ascii=False) + "\n")
