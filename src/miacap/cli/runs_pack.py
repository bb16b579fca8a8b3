"""`miacap runs pack`: a finished run, made small for shipping."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.datasets import read_with_photos, require_there
from miacap.cli.options import Device, NeededPhotos, Quiet, Splits
from miacap.wording import part

if TYPE_CHECKING:
    from miacap.captioning import Comparison

_SHOWN = 3


def pack(
    run: Annotated[Path, typer.Argument(help="A trained run folder.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the packed run: new, empty or packed."),
    ],
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="DATA",
            help="Caption a split of DATA with both, and say how many captions differ.",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Which pictures of DATA.")] = "dev",
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            help="Features of DATA's photos, to save time; used by a run that they belong to.",
        ),
    ] = None,
    photos: NeededPhotos = None,
    splits: Splits = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Pack a finished run for shipping: half-precision weights, and nothing of the training.

    What comes out is a run as any other, with its backbone and its extractor, and with
    sums of its files (SHA256SUMS).

    Example: miacap runs pack runs/best -o shipped --compare flickr8k --features features
    """
    from miacap import captioning, runs
    from miacap.data import FeatureStore

    require_there(compare, features)
    (folder,) = runs.chosen(run)
    dataset = None if compare is None else read_with_photos(compare, photos, splits)
    store = None if features is None else FeatureStore.open(features)
    packed = runs.pack(folder, output)
    terminal.result(
        f"{output}: {packed.bytes / 1e6:.1f} MB; weights and networks had "
        f"{packed.before / 1e6:.1f} MB"
    )
    if dataset is None:
        return
    ours, theirs = (
        captioning.captions_of(one, dataset, split, store, device=device, quiet=quiet)
        for one in (runs.load(folder), packed.run)
    )
    _tell(captioning.compare(ours, theirs), split)


def _tell(found: "Comparison", split: str) -> None:
    said = part(len(found.differing), found.compared, "caption", "differs", "differ")
    terminal.result(f"{split}: {said} ({100 * found.share:.2f} %)")
    for id, before, after in found.differing[:_SHOWN]:
        terminal.result(f"  {id}: {before} | {after}")
