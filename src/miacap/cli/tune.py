"""`miacap tune`: a backbone that learns the words of training captions."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from miacap import terminal
from miacap.cli.options import Data, Device, Photos, Quiet, Seed, Sets, Weights


def tune(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the backbone.")],
    backbone: Annotated[
        str,
        typer.Option(
            help="Network to begin with: efficientnet-lite0, -lite1, -lite2, tuned:FOLDER."
        ),
    ] = "efficientnet-lite2",
    photos: Photos = None,
    seed: Seed = 0,
    device: Device = "auto",
    weights: Weights = None,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a backbone until it finds the words of the training captions.

    Interrupted, the same command goes on. `miacap features DATA --backbone
    tuned:FOLDER` then makes features with it; stores and runs that are built on
    them carry its weights.

    Example: miacap tune flickr8k -o tuned
    Out of fold: miacap tune flickr8k --set folds=5 -o tuned
    """
    from miacap import concepts, visual
    from miacap.cli.reporting import report_set_aside
    from miacap.data import read
    from miacap.memory import keep_freed
    from miacap.settings import override

    dataset = read(data, photos=photos)
    report_set_aside(dataset.set_aside)
    settings = concepts.TuneSettings(seed=seed)
    settings = replace(settings, training=replace(settings.training, device=device))
    settings = override(settings, sets or [])
    places = visual.Places.of(weights or ())
    keep_freed()
    report = concepts.tune(dataset, output, settings, backbone=backbone, places=places, quiet=quiet)
    terminal.results(concepts.tuning_table(report))
    if known := concepts.tuning_leak(report):
        terminal.tell(f"note: {known}")
