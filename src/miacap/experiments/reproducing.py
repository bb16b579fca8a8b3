"""Train a recipe on a dataset, read it in every way that the recipe names, and say what it is.

Beside the run folder's own files stands `recipe.json`: the recipe, the rows of the paper that
it stands for, whose concepts it saw, its number of parameters, and the scores of its readings,
each labelled. A run trained on another picture's concepts is told from an honest one by it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from miacap import captioning, runs
from miacap.captioning.words import build_vocabulary
from miacap.concepts import ConceptFolder
from miacap.data import Dataset
from miacap.data.store import FeatureStore
from miacap.errors import DataError, RunError, SettingsError
from miacap.experiments import paper
from miacap.experiments.knobs import Probe
from miacap.experiments.parameters import parameters
from miacap.experiments.partners import partners
from miacap.experiments.recipes import Recipe
from miacap.files import read_json, write_json
from miacap.runs import Run, RunSettings
from miacap.runs.settings import DECIDED_WITH_FEATURES
from miacap.runs.starting import begun
from miacap.settings import override, to_json
from miacap.training import FitResult

__all__ = ["FILE", "Reproduced", "reproduce"]

FILE = "recipe.json"
FORMAT = 1
METRICS = ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D")


@dataclass(frozen=True)
class Reproduced:
    """A recipe, trained."""

    result: FitResult
    parameters: int
    readings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Dev scores by the probe's label; a probe is read from weights trained otherwise."""


def reproduce(
    recipe: Recipe,
    dataset: Dataset,
    regions: FeatureStore,
    folder: str | os.PathLike[str],
    *,
    concepts: ConceptFolder | None = None,
    start: Run | None = None,
    seed: int = 0,
    sets: tuple[str, ...] = (),
    stop_after: int | None = None,
    quiet: bool = False,
) -> Reproduced:
    """Train a recipe, or go on with it.

    Args:
        recipe: from `recipes.recipe`.
        dataset: with a train and a dev split.
        regions: features of both splits.
        folder: the run folder.
        concepts: trained concepts, where the recipe reads them; ignored where it does not.
        start: the run that training begins with, where the recipe says so (`begins_with`).
        seed: of everything that chance decides.
        sets: changed settings, "name=value", e.g. "training.epochs=5".
        stop_after: stop after this many steps, resumable.
        quiet: show no progress.

    Raises:
        DataError: the recipe reads concepts and none were given; see `captioning.train`.
        SettingsError: a changed setting that the recipe's name fixes; a run to begin with that
            is missing, or that the recipe has no use for.
        RunError: the folder holds something else.
    """
    concepts = _concepts(recipe, concepts)
    _check_start(recipe, start)
    concepts_of = None
    if recipe.concepts == "another's":
        assert concepts is not None
        concepts_of = partners(dataset, concepts.store.names, seed)
    settings, count = _settings(recipe, dataset, regions, seed, sets, start)
    told = _told(recipe, count, begun(settings, start))
    path = Path(folder)

    def fit(steps: int | None) -> FitResult:
        return captioning.train(
            dataset,
            regions,
            path,
            settings,
            concepts=concepts,
            concepts_of=concepts_of,
            start=start,
            stop_after=steps,
            quiet=quiet,
        )

    _claim(path, told)
    if not (path / FILE).exists():
        # Training lays the run folder; before its first step the folder says what it is.
        fit(0)
        write_json(path / FILE, told)
    result = fit(stop_after)
    readings = {}
    if result.finished:
        readings = {
            probe.label: _read(probe, path, dataset, regions, concepts, seed, quiet)
            for probe in recipe.probes
        }
        write_json(path / FILE, {**told, "readings": readings})
    return Reproduced(result, count, readings)


def _concepts(recipe: Recipe, concepts: ConceptFolder | None) -> ConceptFolder | None:
    if recipe.concepts == "none":
        return None
    if concepts is None:
        raise DataError(
            f"Recipe {recipe.name!r} reads concepts: give it the folder that "
            "`miacap concepts train` filled, with --concepts FOLDER."
        )
    return concepts


def _check_start(recipe: Recipe, start: Run | None) -> None:
    before = recipe.begins_with
    if start is None and before is not None:
        raise SettingsError(
            f"Recipe {recipe.name!r} begins with a run of {before!r}: train that one first "
            f"(miacap reproduce {before} ...), and give its folder with --from RUN."
        )
    if start is not None and before is None:
        raise SettingsError(
            f"Recipe {recipe.name!r} draws its first weights: leave --from {start.folder} out."
        )
    if start is not None and (found := _recipe_of(start.folder)) != before:
        what = "no recipe" if found is None else f"the recipe {found!r}"
        raise SettingsError(
            f"Recipe {recipe.name!r} begins with a run of {before!r}, and {start.folder} is a run "
            f"of {what}: train that one (miacap reproduce {before} ...), and give its folder with "
            "--from RUN."
        )


def _recipe_of(folder: Path) -> str | None:
    """Give the recipe that made a run; None where none did."""
    if not (folder / FILE).exists():
        return None
    told = read_json(folder / FILE)
    return str(told.get("recipe")) if isinstance(told, dict) else None


def _settings(
    recipe: Recipe,
    dataset: Dataset,
    regions: FeatureStore,
    seed: int,
    sets: tuple[str, ...],
    start: Run | None,
) -> tuple[RunSettings, int]:
    """Give the run's settings (the recipe's, what was changed, the matched width), and count."""
    changed = _changed(recipe.settings, seed, sets)
    fixed: dict[str, Any] = {"captioner": changed.captioner, "source": changed.source}
    fixed |= {name: changed.sizes.get(name) for name in recipe.knobs.sizes()}
    for name, value in fixed.items():
        wanted = (to_json(recipe.settings) | recipe.settings.sizes)[name]
        if value != wanted:
            raise SettingsError(
                f"Recipe {recipe.name!r} has {name}={wanted!r}, which makes it what it is; "
                "choose another recipe (miacap reproduce lists them)."
            )
    larger = recipe.as_large_as
    if larger is not None:
        larger = _changed(larger, seed, sets)
    if start is None:
        words = len(build_vocabulary(dataset.split("train"), changed.minimum_count))
    else:
        words = len(start.vocabulary)
    turned = replace(recipe, settings=changed, as_large_as=larger)
    settings = turned.fitted(words, regions.manifest.width)
    return settings, parameters(settings, words)


def _changed(settings: RunSettings, seed: int, sets: tuple[str, ...]) -> RunSettings:
    settings = replace(settings, training=replace(settings.training, seed=seed))
    return override(settings, sets, decided=DECIDED_WITH_FEATURES)


def _told(recipe: Recipe, count: int, settings: RunSettings) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "recipe": recipe.name,
        "small": recipe.small,
        "says": recipe.says,
        "stands for": [str(row) for row in paper.rows_of(recipe.name)],
        "concepts": recipe.concepts,
        "loss": recipe.knobs.loss,
        "parameters": count,
        "start": None if settings.start is None else to_json(settings.start),
    }


def _claim(folder: Path, told: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another recipe's run, or one that no recipe made."""
    if (folder / FILE).exists():
        there = read_json(folder / FILE)
        for name in ("recipe", "small"):
            if there.get(name) != told[name]:
                raise RunError(
                    f"{folder}: holds the recipe {there.get('recipe')!r} with small="
                    f"{there.get('small')}, not {told['recipe']!r} with small={told['small']}; "
                    "choose another folder."
                )
    elif (folder / "metrics.jsonl").exists():
        raise RunError(
            f"{folder}: holds a run that no recipe made (it has no {FILE}); choose another folder."
        )


def _read(
    probe: Probe,
    folder: Path,
    dataset: Dataset,
    regions: FeatureStore,
    concepts: ConceptFolder | None,
    seed: int,
    quiet: bool,
) -> dict[str, float]:
    """Score dev captions of the trained captioner, read as the probe says."""
    run = runs.load(folder)
    if probe.iterations is not None:
        # The refiner's parameters do not depend on N: the same weights serve every N.
        sizes = {**run.settings.sizes, "iterations": probe.iterations}
        run = replace(run, settings=replace(run.settings, sizes=sizes))
    dev = dataset.split("dev")
    having = dev.ids if concepts is None else concepts.store.names
    others = partners(dev, having, seed) if probe.others_concepts else None
    result = captioning.evaluate(
        run,
        dataset,
        "dev",
        regions,
        concepts=concepts,
        metrics=METRICS,
        controls=False,
        concepts_of=others,
        quiet=quiet,
    )
    if result.scores is None:
        raise DataError(f"{dataset.name}: the dev split has no captions to score with.")
    return {name: float(result.scores[name]) for name in METRICS}
