"""`miacap train`: a captioner, from features to a run folder."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from miacap import terminal
from miacap.cli.options import Concepts, Data, Features, Photos, Quiet, Seed, Sets


def train(
    data: Data,
    features: Features,
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder to make.")],
    captioner: Annotated[
        str, typer.Option(help="nic, spatial-attention, ...; an unknown name lists them all.")
    ] = "spatial-attention",
    source: Annotated[
        str,
        typer.Option(help="What it is fed: plain, regions, combined; some take others."),
    ] = "combined",
    concepts: Concepts = None,
    photos: Photos = None,
    seed: Seed = 0,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Train a captioner; the best epoch by CIDEr-D on the dev split is kept.

    Interrupted, the same command goes on and ends with the same weights.

    Example: miacap train flickr8k --features features --concepts concepts \\
        --captioner spatial-attention --source combined -o runs/combined
    """
    from miacap import captioners, captioning
    from miacap.cli.reporting import report_set_aside, report_warnings
    from miacap.concepts import ConceptFolder
    from miacap.data import FeatureStore, read
    from miacap.runs import RunSettings
    from miacap.runs.card import shown
    from miacap.settings import override, to_json

    settings = RunSettings(captioner=captioner, source=source)
    settings = replace(settings, training=replace(settings.training, seed=seed))
    sizes = [f"sizes.{name}" for name in to_json(captioners.sizes(captioner, source))]
    settings = override(settings, sets or [], further=sizes)
    dataset = read(data, photos=photos)
    report_set_aside(dataset.set_aside)
    report_warnings(dataset.warnings)
    result = captioning.train(
        dataset,
        FeatureStore.open(features),
        output,
        settings,
        concepts=ConceptFolder.open(concepts) if concepts else None,
        quiet=quiet,
    )
    scores = captioning.best_scores(result)
    numbers = ", ".join(f"{name} {shown(name, value)}" for name, value in scores.items())
    terminal.result(f"{output}: best on dev: {numbers}")
    if doubt := captioning.doubt(output):
        terminal.tell(f"warning: {output}: {doubt}")
