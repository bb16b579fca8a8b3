"""What Table 7 and Figure 5 show: a split captioned by every run.

`gather` takes three pictures of it, chosen by rule; `rescore` scores all captions, with METEOR.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from miacap import captioning
from miacap.captioning.inputs import Inputs
from miacap.concepts import ConceptFolder
from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.devices import Device
from miacap.errors import DataError, MissingExtra
from miacap.explain.figures.sampled import Sample, choose
from miacap.explain.figures.scored import METEOR, METRICS, Rescored, points_of
from miacap.explain.looking import photograph
from miacap.metrics.families import meteor_scorer
from miacap.runs import Trained, load

__all__ = ["gather", "rescore"]

_METRIC = "CIDEr-D"
_CONCEPTS = 10


def gather(
    runs: Mapping[str, Trained],
    dataset: Dataset,
    split: str,
    regions: FeatureStore,
    *,
    concepts: ConceptFolder | None = None,
    device: Device = "auto",
    quiet: bool = False,
) -> list[Sample]:
    """Caption a split with every run; give the best, the median and the worst picture.

    Args:
        runs: by the name that stands before its captions.
        dataset: with photos and references.
        split: which pictures.
        regions: their features.
        concepts: stored ones, in place of what the runs' extractors find.
        device: where the captioners run.
        quiet: show no progress.

    Raises:
        DataError: fewer than three pictures with references and captions; see
            `captioning.evaluate` too.
        RunError: features or concepts that are not the runs'.
    """
    means, captions = _captioned(runs, dataset, split, regions, concepts, device, quiet)
    having = next((run for run in runs.values() if run.concepts is not None), None)
    any_run = next(iter(runs.values()))
    return [
        Sample(
            rank,
            photograph(dataset.photos.read(id), id, any_run),
            means[id],
            () if having is None else _concepts(having, regions, concepts, id, device),
            dataset.captions[id][0],
            captions[id],
        )
        for rank, id in choose(means).items()
    ]


def rescore(
    folders: Sequence[str | os.PathLike[str]],
    dataset: Dataset,
    split: str,
    regions: FeatureStore,
    *,
    concepts: ConceptFolder | None = None,
    device: Device = "auto",
    quiet: bool = False,
) -> Rescored:
    """Caption a split with every run of Figure 5, and score the captions, METEOR among the metrics.

    Args:
        folders: as `scored.iterations`.
        dataset: with references.
        split: which pictures.
        regions: their features.
        concepts: stored ones, in place of what the runs' extractors find.
        device: where the captioners run.
        quiet: show no progress.

    Raises:
        DataError: a split without captions; see `captioning.evaluate` too.
        RunError: as `scored.points_of`; features or concepts that are not the runs'.
    """
    metrics, left_out = _metrics(quiet)
    found: dict[Path, Mapping[str, float]] = {}
    for point in points_of(folders):  # refuses runs that do not fit before any is read
        result = captioning.evaluate(
            load(point.folder), dataset, split, regions, concepts=concepts, metrics=metrics,
            controls=False, device=device, quiet=quiet,
        )  # fmt: skip
        if result.scores is None:
            raise DataError(f"{dataset.name}: {split} has no captions to score with.")
        found[point.folder] = dict(result.scores)
    return Rescored(split, found, left_out)


def _metrics(quiet: bool) -> tuple[tuple[str, ...], str]:
    """Give the metrics of Figure 5; without METEOR, and why, where its extra is missing."""
    try:
        meteor_scorer(quiet)
    except MissingExtra as error:
        others = tuple(name for name in METRICS if name != METEOR)
        return others, f"METEOR is left out. {error}"
    return METRICS, ""


def _captioned(
    runs: Mapping[str, Trained],
    dataset: Dataset,
    split: str,
    regions: FeatureStore,
    concepts: ConceptFolder | None,
    device: Device,
    quiet: bool,
) -> tuple[dict[str, float], dict[str, dict[str, str]]]:
    """Give the runs' mean score of each picture that all have captioned, and their captions."""
    scores: dict[str, list[float]] = {}
    captions: dict[str, dict[str, str]] = {}
    for name, run in runs.items():
        result = captioning.evaluate(
            run, dataset, split, regions, concepts=concepts, metrics=(_METRIC,), controls=False,
            device=device, quiet=quiet,
        )  # fmt: skip
        if result.scores is None:
            raise DataError(f"{dataset.name}: {split} has no captions to choose pictures by.")
        for id, value in zip(result.scores.ids, result.scores.per_picture[_METRIC], strict=True):
            scores.setdefault(id, []).append(float(value))
        for row in result.rows:
            captions.setdefault(row.id, {})[name] = row.caption or ""
    means = {id: sum(own) / len(own) for id, own in scores.items() if len(own) == len(runs)}
    return means, captions


def _concepts(
    run: Trained, regions: FeatureStore, folder: ConceptFolder | None, id: str, device: Device
) -> tuple[tuple[str, float], ...]:
    """Give the ten most probable concepts of a picture."""
    inputs = Inputs.of_run(run, regions, folder, device=device)
    reads = inputs.wanted.reads | {"scores"}
    inputs = replace(inputs, wanted=replace(inputs.wanted, reads=reads))
    scores = inputs.stored([id]).concept_scores
    source = run.concepts if folder is None else folder.source
    assert scores is not None and source is not None
    order = scores[0].sort(descending=True, stable=True).indices[:_CONCEPTS].tolist()
    return tuple((source.words[index], float(scores[0, index])) for index in order)
