"""`miacap demo`: the main job once, on drawn scenes."""

from pathlib import Path
from typing import Annotated

import typer

from miacap import terminal
from miacap.cli.options import Device, Quiet, Seed


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything.")] = Path(
        "demo"
    ),
    pictures: Annotated[int, typer.Option(help="Scenes to draw.", min=20)] = 1200,
    epochs: Annotated[int, typer.Option(help="Epochs of each captioner.", min=1)] = 6,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Draw scenes, train a captioner plain and combined, score and show both.

    Needs no data and no network; takes a few minutes on two cores. A second run
    uses what is there. Then open OUTPUT/index.html.
    """
    from miacap.data import read
    from miacap.experiments import Demo
    from miacap.experiments import demo as walk
    from miacap.memory import keep_freed

    settings = Demo(pictures=pictures, epochs=epochs, seed=seed)
    keep_freed()
    text = walk(output, settings, device=device, quiet=quiet)
    terminal.results(text)
    terminal.result(f"page: {output / 'index.html'}")
    scene = output / "scenes" / read(output / "scenes").split("test").ids[0]
    terminal.result(f"try: miacap caption {scene} --run {output / 'runs' / 'combined'}")
