"""`miacap concepts train` and `show`: the words that a picture brings to mind."""

from pathlib import Path
from typing import Annotated

import typer

from miacap.cli.options import Data, Features, Photos, Quiet, Seed, Sets

concepts = typer.Typer(
    help="Concepts: train an extractor of caption words, and look at what it finds.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@concepts.callback()
def _group() -> None:
    """Concepts: train an extractor of caption words, and look at what it finds."""


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


@concepts.command()
def show(
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    run: Annotated[Path, typer.Option("--run", help="A run folder trained with concepts.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for a heat map (PNG) of each word."),
    ] = None,
    top: Annotated[int, typer.Option(help="How many words.", min=1)] = 10,
) -> None:
    """Print the words that a photo brings to mind, with probabilities.

    A multiple-instance extractor also says how sure its surest grid cell is; with -o
    it saves for each word where in the photo it sees it.

    Example: miacap concepts show photo.jpg --run runs/combined -o heat
    """
    from miacap import runs
    from miacap.captioning.showing import show as found
    from miacap.cli.reporting import table
    from miacap.errors import PictureError
    from miacap.visual import decode

    try:
        data = photo.read_bytes()
    except OSError as error:
        raise PictureError(f"{photo}: cannot be read ({error.strerror}).") from None
    rows = [
        {
            "word": concept.word,
            "probability": f"{concept.probability:.4f}",
            **({} if concept.hottest is None else {"surest cell": f"{concept.hottest:.4f}"}),
            **({} if concept.heat_map is None else {"heat map": str(concept.heat_map)}),
        }
        for concept in found(runs.load(run), decode(data, str(photo)), top, output)
    ]
    typer.echo(table(rows))
