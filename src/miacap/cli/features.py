"""`miacap features`: region features of every photo of a dataset; `read` stands behind it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.datasets import read_with_photos, require_there
from miacap.cli.features_read import read
from miacap.cli.help import Verb, with_further
from miacap.cli.options import Data, Device, Download, NeededPhotos, Quiet, Sets, Weights
from miacap.wording import counted

if TYPE_CHECKING:
    import torch

    from miacap.data import Dataset
    from miacap.data.features import Preprocessing
    from miacap.visual import Backbone, Places, Regions

_BACKBONE, _REGIONS = "efficientnet-lite2", "grid"

_reading = typer.Typer(add_completion=False, rich_markup_mode=None)
_reading.command("read", cls=Verb, short_help="Read features that you already have.")(read)

Features = with_further(
    "To read what you already have: miacap features read FILE... DATA", read=_reading
)
"""`features DATA` extracts; `features read` reads what others extracted."""


def features(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the features.")],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Network: efficientnet-lite0, -lite1, -lite2 (unless told), tuned:FOLDER, "
            "timm:NAME, torchvision:NAME, hf:FOLDER-OR-NAME."
        ),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            help="What a region is: grid (a cell of the network's map; unless told), "
            "detector:FILE.onnx (a box, pooled from the map), grid+detector:FILE.onnx (both), or "
            "torchvision:fasterrcnn_... (its boxes, with the features of its own box head)."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Regions as this run reads them, by the network and the detector that it carries.",
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            help="Of a detector: so many, the best (36 by default), or the fewest and the most "
            "(10-100). The whole photo is one of them.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="With --boxes FEWEST-MOST: the score from which on boxes are taken; 0.2 by "
            "default.",
            min=0.0,
            max=1.0,
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Photos at a time.", min=1)] = 16,
    photos: NeededPhotos = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Look again at photos that were set aside, and extract changed ones anew.",
        ),
    ] = False,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Extract region features of every photo of DATA into a folder.

    Interrupted, the same command goes on. Broken photos are set aside and listed, and looked at
    again when they changed; unreadable ones are tried again by the same command.
    --set size=320 shows the network larger photos, --set grid=7 pools its map to 7 x 7 cells,
    --set precision=bfloat16 is faster on processors that compute in it, and a little off,
    --set flips=true takes the mean of a photo and its mirror image, in twice the time.

    Example: miacap features flickr8k -o features

    Boxes: miacap features flickr8k --regions detector:picodet.onnx -o features

    As a run reads them: miacap features flickr8k --run runs/tuned -o features
    """
    from miacap import visual
    from miacap.errors import DataError
    from miacap.memory import keep_freed
    from miacap.training.processes import join

    if run is not None:
        _require_none(backbone, regions, boxes, threshold, *(sets or ()))
    regions = regions or _REGIONS
    _, named, detector = regions.partition("detector:")
    require_there(Path(detector) if named else None)
    dataset = _photos(data, photos)
    sharing = join(device)
    chosen = sharing.device(device)
    places = visual.Places.of(weights or (), download)
    if run is not None:
        found = _of_run(run, chosen, places)
    else:
        network, preprocessing = _backbone(
            backbone or _BACKBONE, regions, chosen, places, sets or []
        )
        found = visual.regions_named(
            regions,
            network,
            preprocessing=preprocessing,
            boxes=boxes,
            threshold=threshold,
            device=chosen,
            places=places,
        )
    keep_freed()
    store = visual.extract(
        dataset,
        output,
        regions=found,
        batch_size=batch_size,
        quiet=quiet,
        again=again,
        sharing=sharing,
    )
    aside = f", {len(store.set_aside)} set aside" if store.set_aside else ""
    terminal.result(
        f"{counted(len(store), 'photo')}, regions of {counted(store.manifest.width, 'number')}, "
        f"in {output}{aside}"
    )
    if not len(store):
        raise DataError(f"{data}: not one of its photos could be read; see {output} for why.")


def _photos(data: Path, photos: list[Path] | None) -> "Dataset":
    """Read the data, and say which of it was set aside."""
    from miacap.cli.nearby import photos_alone
    from miacap.cli.reporting import report_set_aside
    from miacap.data.readers.places import NoCaptionFile
    from miacap.errors import DataError

    try:
        dataset = read_with_photos(data, photos)
    except NoCaptionFile as error:
        raise DataError(f"{error}{photos_alone(data)}") from None
    report_set_aside(dataset.set_aside)
    return dataset


def _require_none(*others: object) -> None:
    """Refuse what says otherwise what `--run` says."""
    from miacap.errors import SettingsError

    if any(other is not None for other in others):
        raise SettingsError(
            "--run says what regions are and which network looks; leave --backbone, --regions, "
            "--boxes, --threshold and --set out."
        )


def _of_run(run: Path, device: "torch.device", places: "Places") -> "Regions":
    """Give what finds a run's regions, exactly as it reads them."""
    from miacap import runs, visual

    [folder] = runs.chosen(run)
    found = runs.load(folder)
    return visual.regions_for(found.preprocessing, device, found.folder, places)


def _backbone(
    name: str, regions: str, device: "torch.device", places: "Places", sets: list[str]
) -> "tuple[Backbone | None, Preprocessing | None]":
    """Load the backbone, and say how photos are prepared for it, where such regions have one."""
    from miacap import visual
    from miacap.errors import SettingsError
    from miacap.settings import override

    if visual.needs_backbone(regions):
        network = visual.load(name, device, places)
        return network, override(visual.preprocessing_for(network), sets)
    if sets:
        raise SettingsError(
            f"--set changes how photos are prepared for a backbone; {regions} has none."
        )
    return None, None
