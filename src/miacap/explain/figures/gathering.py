"""What Table 7 shows: a split captioned by every run, and three pictures of it chosen by rule."""

from collections.abc import Mapping
from dataclasses import replace

from miacap import captioning
from miacap.captioning.inputs import Inputs
from miacap.concepts import ConceptFolder
from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.devices import Device
from miacap.errors import DataError
from miacap.explain.figures.sampled import Sample, choose
from miacap.explain.looking import photograph
from miacap.runs import Trained

__all__ = ["gather"]

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
