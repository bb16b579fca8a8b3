"""`miacap explain`: what a captioner did with a photo, as a page, as numbers, in a few lines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miacap import terminal
from miacap.cli.options import Beam, Device, Download, LengthPenalty, Weights

if TYPE_CHECKING:
    from miacap.explain import Look


def explain(
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(
            "--run",
            help="A trained run folder, or an installed captioner's name; several are averaged "
            "word by word. The installed captioner by default.",
        ),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Another run, shown beside it: plain beside refined, say."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the page here.")
    ] = None,
    numbers: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="WORDS", help="Title of the page.")] = None,
    credit: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Who made the photo, and its licence.")
    ] = None,
    beam: Beam = None,
    length_penalty: LengthPenalty = None,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
) -> None:
    """Show what a captioner attended to, and what hiding a region does.

    Prints a line for each word. -o writes one HTML file that needs nothing else: choose a
    word, a concept or a region and see its numbers. docs/explaining.md says how to read it.

    Example: miacap explain photo.jpg -o page.html

    Plain beside refined: miacap explain photo.jpg --run runs/plain --beside runs/combined -o p.html
    """
    from miacap.cli.chosen import chosen_runs
    from miacap.cli.outputs import check_outputs, check_page
    from miacap.explain import Looker
    from miacap.explain.summary import labels
    from miacap.files import output as opened
    from miacap.memory import keep_freed
    from miacap.runs import names_of

    folders = chosen_runs(run)
    others = [] if beside is None else chosen_runs([beside])
    check_outputs([output, numbers], inputs=[photo], folders=[*folders, *others])
    check_page(output)
    if output is not None:
        _require_templates()
    keep_freed()
    options: dict[str, Any] = {
        "beam": beam, "length_penalty": length_penalty, "device": device,
        "weights": weights or (), "allow_download": download,
    }  # fmt: skip
    names = names_of([*folders, *others])  # told apart, should both end in the same folder
    looks = [Looker(folders, names=names[: len(folders)], **options).look(photo)]
    if others:
        looks.append(Looker(others, names=names[len(folders) :], **options).look(photo))
    if output is not None:
        page = looks[0].page(*looks[1:], title=title or "", credit=credit or "")
        with opened(output) as file:
            file.write(page)
    if numbers is not None:
        records = [look.to_json() for look in looks]
        with opened(numbers) as file:
            file.write(terminal.json_text(records if beside else records[0]) + "\n")
    for look, label in zip(looks, labels(looks), strict=True):
        _tell(look, label if others else "")
    if output is not None:
        terminal.result(f"page: {output}")


def _require_templates() -> None:
    """Say before any work that a page cannot be written here."""
    from importlib.util import find_spec

    from miacap.errors import MissingExtra

    if find_spec("jinja2") is None:
        raise MissingExtra("explain", "A page that explains a caption")


def _tell(look: "Look", label: str) -> None:
    """Print a look, below its label where it is one of two."""
    from miacap.cli.reporting import table
    from miacap.explain.summary import rows

    if label:
        terminal.result(f"{label}:")
    terminal.result(look.caption)
    terminal.results(table(rows(look)))
    for note in look.notes:
        terminal.tell(f"note: {note}")
