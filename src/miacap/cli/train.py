"""`miacap train`: a captioner, from features to a run folder."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.datasets import read_dataset
from miacap.cli.options import (
    Concepts,
    Data,
    Features,
    Photos,
    Quiet,
    Seed,
    Sets,
    Splits,
    Start,
    WordVectors,
)

if TYPE_CHECKING:
    from miacap.runs import Run, RunSettings
    from miacap.runs.starting import Kind


def train(
    data: Data,
    features: Features,
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to make.")],
    captioner: Annotated[
        str | None,
        typer.Option(
            help="nic, spatial-attention (unless told), ...; an unknown name lists them all."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="What it is fed: plain, regions, combined (unless told); some take others."
        ),
    ] = None,
    concepts: Concepts = None,
    start: Start = None,
    word_vectors: WordVectors = None,
    photos: Photos = None,
    splits: Splits = None,
    seed: Seed = 0,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Train a captioner; the best epoch by CIDEr-D on the dev split is kept.

    Interrupted, the same command goes on and ends with the same weights. With
    --from RUN --set objective=self-critical, a trained captioner learns from the
    CIDEr-D of its own captions; without it, by cross-entropy. Where RUN was trained
    by the same objective, the settings of that are kept; other settings of training
    (learning rate, epochs) are the usual ones.

    Example: miacap train flickr8k --features features --concepts concepts \\
        --captioner spatial-attention --source combined -o runs/combined
    """
    from miacap import captioning
    from miacap.cli.reporting import filled, report_set_aside, report_warnings, starting_run
    from miacap.concepts import ConceptFolder
    from miacap.data import FeatureStore
    from miacap.runs.card import shown

    begin = None if start is None else starting_run(start, output)
    settings = _settings(begin, captioner, source, seed, sets or [], output)
    dataset = read_dataset(data, photos, features, splits)
    report_set_aside(dataset.set_aside)
    report_warnings(dataset.warnings)
    result = captioning.train(
        dataset,
        FeatureStore.open(features),
        output,
        settings,
        concepts=ConceptFolder.open(concepts) if concepts else None,
        start=begin,
        word_vectors=word_vectors,
        quiet=quiet,
    )
    scores = captioning.best_scores(result)
    numbers = [f"{name} {shown(name, value)}" for name, value in scores.items()]
    terminal.results(filled(f"{output}: best on dev", numbers))
    if doubt := captioning.doubt(output):
        terminal.tell(f"warning: {output}: {doubt}")


def _settings(
    start: "Run | None",
    captioner: str | None,
    source: str | None,
    seed: int,
    sets: list[str],
    output: Path | None = None,
) -> "RunSettings":
    """Give the settings of a run, or of one that begins with another one's weights."""
    from miacap import captioners, runs
    from miacap.runs.settings import DECIDED_WITH_FEATURES, usual_training
    from miacap.settings import override, to_json

    def usual(kind: "Kind") -> "RunSettings":
        if start is None:
            return runs.RunSettings(
                captioner=captioner or "spatial-attention", source=source or "combined"
            )
        settings = runs.continued(start, kind, output)
        return replace(
            settings,
            captioner=captioner or settings.captioner,
            source=source or settings.source,
        )

    settings = usual("cross-entropy")
    known = captioners.sizes(settings.captioner, settings.source)
    further = [f"sizes.{name}" for name in to_json(known)]
    # An objective has training settings of its own, which what is set goes before.
    objective = override(settings, sets, further=further, decided=DECIDED_WITH_FEATURES).objective
    training = usual_training(settings.captioner, objective)
    settings = replace(usual(objective.kind), training=replace(training, seed=seed))
    return override(settings, sets, further=further)
