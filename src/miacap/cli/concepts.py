"""`miacap concepts train`: the words that a picture brings to mind."""

from pathlib import Path
from typing import Annotated

import typer

from miacap.cli.options import Data, Features, Photos, Quiet, Seed, Sets

concepts = typer.Typer(
    help="Concepts: train an extractor of caption words.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@concepts.callback()
def _group() -> None:
    """Concepts: train an extractor of caption words."""


@concepts.command()
def train(
    data: Data,
    features: Features,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the concepts.")],
    photos: Photos = None,
    seed: Seed = 0,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Train concept extractors and score every picture.

    Training pictures get their scores from extractors that never saw their
    captions (five folds); all others from the one that is kept.

    Example: miacap concepts train flickr8k --features features -o concepts
    """
    from miacap import concepts as room
    from miacap.cli.reporting import report_set_aside
    from miacap.data import FeatureStore, read
    from miacap.settings import override

    dataset = read(data, photos=photos)
    report_set_aside(dataset.set_aside)
    settings = override(room.ConceptSettings(seed=seed), sets or [])
    report = room.train(FeatureStore.open(features), dataset, output, settings, quiet=quiet)
    typer.echo(room.table(report))
