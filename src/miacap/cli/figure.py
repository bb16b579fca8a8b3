"""`miacap figure alignment`, `iterations` and `samples`: the paper's figures of one's own runs."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.help import Verb
from miacap.cli.options import (
    Concepts,
    Data,
    Device,
    Download,
    Features,
    NeededPhotos,
    Photos,
    Quiet,
    Splits,
    Weights,
)

if TYPE_CHECKING:
    from miacap.explain.figures import Rescored

_HELP = "Draw a figure of the paper, of your own runs: PNG, SVG or HTML."

figure = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode=None)

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the figure here: .png, .svg, or .html with its numbers.",
    ),
]


@figure.callback()
def _group() -> None:
    """Draw a figure of the paper, of your own runs: PNG, SVG or HTML."""


@figure.command(cls=Verb, short_help="Figure 4: what each iteration mixes.")
def alignment(
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    run: Annotated[Path, typer.Option("--run", help="A run with a refiner.")],
    output: Output,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="Which pairs, counted from 1: 1,5,9. Else three whose concepts the caption says, "
            "or the most probable ones.",
        ),
    ] = None,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
) -> None:
    """Draw what pairs of region and concept are made of after each iteration.

    Figure 4 of the paper, for one photo.

    Example: miacap figure alignment photo.jpg --run runs/combined -o alignment.png
    """
    from miacap.explain import Looker, figures
    from miacap.runs import chosen

    _check(output, inputs=[photo], folders=[run])
    wanted = None if rows is None else [number - 1 for number in _numbers(rows)]
    looker = Looker(chosen([run]), device=device, weights=weights or (), allow_download=download)
    drawn = figures.alignment(looker.look(photo, hide=False), wanted)
    figures.save(drawn, output)
    terminal.result(f"figure: {output}")


@figure.command(cls=Verb, short_help="Figure 5: scores over iterations.")
def iterations(
    run: Annotated[list[Path], typer.Argument(help="Finished runs with different N.")],
    output: Output,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Photos with captions (docs/data.md): caption a split of them with every run and "
            "score it, METEOR with the rest. Else dev scores that the runs kept, without METEOR.",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option("--features", help="For --data: folder that `miacap features` filled."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="For --data: which pictures; dev by default.")
    ] = None,
    concepts: Concepts = None,
    photos: Photos = None,
    splits: Splits = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Draw scores of runs over their number of iterations N.

    Figure 5 of the paper: dev scores that the runs kept; with --data and --features those of any
    split (the paper shows test), METEOR among them.

    Example: miacap figure iterations runs/n1 runs/n2 runs/n3 -o iterations.svg

    With METEOR: miacap figure iterations runs/n1 runs/n2 --data flickr8k --features f -o i.svg
    """
    from miacap.explain import figures
    from miacap.runs import chosen

    of_data = {"--split": split, "--concepts": concepts, "--photos": photos, "--splits": splits}
    _require_both(data, features, of_data)
    folders = list(chosen(run))
    lists = None if splits is None else Path(splits)
    _check(output, inputs=[data, lists, *(photos or [])], folders=[*folders, features, concepts])
    rescored = None
    if data is not None and features is not None:
        rescored = _rescored(
            folders, data, features, split or "dev", concepts, photos, splits, device, quiet
        )
    drawn = figures.iterations(folders, rescored)
    figures.save(drawn, output)
    for note in drawn.notes:
        terminal.tell(f"note: {note}")
    terminal.result(f"figure: {output}")


def _rescored(
    folders: list[Path],
    data: Path,
    features: Path,
    split: str,
    concepts: Path | None,
    photos: list[Path] | None,
    splits: str | None,
    device: str,
    quiet: bool,
) -> "Rescored":
    from miacap.cli.datasets import read_dataset
    from miacap.concepts import ConceptFolder
    from miacap.data import FeatureStore
    from miacap.explain import figures

    stored = None if concepts is None else ConceptFolder.open(concepts)
    return figures.rescore(
        folders, read_dataset(data, photos, features, splits), split, FeatureStore.open(features),
        concepts=stored, device=device, quiet=quiet,
    )  # fmt: skip


def _require_both(data: Path | None, features: Path | None, others: Mapping[str, object]) -> None:
    """Refuse half of what scoring anew needs, and what means nothing without it."""
    if (data is None) != (features is None):
        raise typer.BadParameter(
            "captions are scored anew with both, --data DATA and --features FOLDER.",
            param_hint="'--data' / '--features'",
        )
    given = [name for name, value in others.items() if value is not None]
    if data is None and given:
        raise typer.BadParameter(
            "is of the captions that are scored anew: give --data and --features too.",
            param_hint=f"'{given[0]}'",
        )


@figure.command(cls=Verb, short_help="Table 7: photos, concepts, captions of each run.")
def samples(
    data: Data,
    features: Features,
    run: Annotated[list[Path], typer.Option("--run", help="A trained run, one for each caption.")],
    output: Output,
    split: Annotated[str, typer.Option(help="Which pictures.")] = "dev",
    concepts: Concepts = None,
    photos: NeededPhotos = None,
    splits: Splits = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Draw photos with ten concepts, a reference, and the caption of each run.

    Table 7 of the paper. Pictures are chosen by rule: the best, the median and the worst
    of the split by the runs' mean CIDEr-D.

    Example: miacap figure samples flickr8k --features f --run runs/a --run runs/b -o samples.html
    """
    from miacap import runs as room
    from miacap.cli.datasets import read_with_photos
    from miacap.concepts import ConceptFolder
    from miacap.data import FeatureStore
    from miacap.errors import RunError
    from miacap.explain import figures

    lists = None if splits is None else Path(splits)
    _check(output, inputs=[data, lists, *(photos or [])], folders=[*run, features, concepts])
    folders = room.chosen(run)
    names = room.names_of(folders)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RunError(f"The run {twice} is given twice; give each --run once.")
    loaded = {name: room.load(folder) for name, folder in zip(names, folders, strict=True)}
    stored = None if concepts is None else ConceptFolder.open(concepts)
    found = figures.gather(
        loaded, read_with_photos(data, photos, splits), split, FeatureStore.open(features),
        concepts=stored, device=device, quiet=quiet,
    )  # fmt: skip
    figures.save(figures.samples(found), output)
    terminal.result(f"figure: {output}")


def _check(
    output: Path, inputs: Iterable[Path | None] = (), folders: Iterable[Path | None] = ()
) -> None:
    """Refuse, before any work, what cannot be written, here or at all."""
    from miacap.cli.outputs import check_outputs
    from miacap.explain.figures.drawing import check_form, is_drawn, require

    require(check_form(output))
    # Where it may keep no cache it goes on without one, which is no trouble of the figure's.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    drawn = [output] if is_drawn(output) else []
    check_outputs([output], inputs=inputs, folders=folders, drawn=drawn)


def _numbers(text: str) -> list[int]:
    """Read numbers with commas between them."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part[:9]) > 0 for part in parts):
        raise typer.BadParameter(
            f"{text!r}: numbers from 1 with commas between them, as 1,5,9.", param_hint="'--rows'"
        )
    return [int(part[:9]) for part in parts]
