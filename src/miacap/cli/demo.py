"""`miacap demo`: photos with the installed captioner, then the main job once on drawn scenes."""

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
    """Caption photos with the installed captioner; then draw scenes and train on them.

    Scenes are captioned by a captioner fed the plain regions and by one fed regions and
    concepts that refined each other; both are scored and shown.

    Needs no data and no network; takes a few minutes on two cores. A second run
    uses what is there. Then open OUTPUT/index.html.
    """
    from miacap.data import read
    from miacap.experiments import Demo
    from miacap.experiments import demo as walk
    from miacap.memory import keep_freed

    settings = Demo(pictures=pictures, epochs=epochs, seed=seed)
    keep_freed()
    _photos(output, device)
    text = walk(output, settings, device=device, quiet=quiet)
    terminal.results(text)
    terminal.result(f"page: {output / 'index.html'}")
    scene = output / "scenes" / read(output / "scenes").split("test").ids[0]
    terminal.result(f"try: miacap caption {scene} --run {output / 'runs' / 'combined'}")


def _photos(output: Path, device: str) -> None:
    """Print a caption for each photo as soon as it is there."""
    from miacap.experiments import first_look
    from miacap.runs import installed
    from miacap.runs.pretrained import INSTALL

    having = installed()
    if not having:
        terminal.tell(
            "no captioner is installed, so that no photo is captioned first; in a checkout: "
            f"{INSTALL}"
        )
        return
    terminal.tell(f"photos, captioned by {having[0].name} {having[0].version}")
    for one in first_look(output, having[0], device=device):
        terminal.result(f"{one.file}: {one.caption}")
        if one.concepts:
            terminal.result(f"  concepts: {', '.join(one.concepts)}")
        if one.words:
            terminal.result(
                f"  where it looked at {', '.join(one.words)}: {output / 'photos' / one.picture}"
            )
        terminal.result(f"  {one.credit}")
