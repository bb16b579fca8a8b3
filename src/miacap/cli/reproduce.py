"""`miacap reproduce`: the paper's rows and their controls, by name."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.datasets import read_dataset
from miacap.cli.options import Concepts, Photos, Quiet, Seed, Sets, Splits, Start

if TYPE_CHECKING:
    from miacap.experiments import Recipe, Reproduced


def reproduce(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe; without it, all are listed with what they stand for."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Argument(help="Photos with captions; without it, the recipe's settings are shown."),
    ] = None,
    features: Annotated[
        Path | None, typer.Option("--features", help="Folder that `miacap features` filled.")
    ] = None,
    concepts: Concepts = None,
    start: Start = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder to make.")
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="The form for one CPU and some thousand photos.")
    ] = False,
    photos: Photos = None,
    splits: Splits = None,
    seed: Seed = 0,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Train a row of the paper, or a control, by the name of its recipe.

    A recipe has its own paper's sizes and training; --small suits one CPU. The run
    folder tells in recipe.json what it stands for. Interrupted, the same command
    goes on.

    Example: miacap reproduce spatial-attention-combined flickr8k --small \\
        --features features --concepts concepts -o runs/combined
    """
    from miacap import experiments

    if recipe is None:
        _list()
        return
    chosen = experiments.recipe(recipe, small)
    if data is None:
        _show(chosen, sets or [])
        return
    for name, value in (("--features", features), ("--output", output)):
        if value is None:
            raise typer.BadParameter(f"training needs {name}.")
    assert features is not None and output is not None
    from miacap.cli.reporting import report_set_aside, starting_run
    from miacap.concepts import ConceptFolder
    from miacap.data import FeatureStore

    dataset = read_dataset(data, photos, features, splits)
    report_set_aside(dataset.set_aside)
    done = experiments.reproduce(
        chosen,
        dataset,
        FeatureStore.open(features),
        output,
        concepts=ConceptFolder.open(concepts) if concepts else None,
        start=None if start is None else starting_run(start, output),
        seed=seed,
        sets=tuple(sets or ()),
        quiet=quiet,
    )
    _report(chosen, done, output)


def _list() -> None:
    from miacap import experiments
    from miacap.cli.reporting import WIDTH

    names = experiments.recipes.names()
    width = max(map(len, names)) + 2
    for name in names:
        rows = experiments.paper.rows_of(name)
        stands_for = [f"{row.place}, {row.label}" for row in rows]
        told = "; ".join(stands_for) or experiments.recipes.says(name)
        terminal.results(
            textwrap.fill(
                told, WIDTH, initial_indent=f"{name:<{width}}", subsequent_indent=" " * width
            )
        )


def _show(recipe: "Recipe", sets: Sequence[str]) -> None:
    from miacap.cli.reporting import paragraph
    from miacap.runs.settings import DECIDED_WITH_FEATURES
    from miacap.settings import override, to_json

    settings = override(recipe.settings, sets, decided=DECIDED_WITH_FEATURES)

    terminal.results(paragraph(recipe.says, f"{recipe.name}: "))
    terminal.results(paragraph(f"{recipe.features}; concepts: {recipe.concepts}", "features: "))
    if recipe.begins_with is not None:
        terminal.result(f"begins with a run of {recipe.begins_with} (--from RUN)")
    if recipe.as_large_as is not None:
        terminal.result("width: counted out when the vocabulary is known")
    _published(recipe)
    terminal.results(terminal.json_text(to_json(settings), indent=2))


def _published(recipe: "Recipe") -> None:
    from miacap.cli.reporting import filled
    from miacap.experiments import paper

    for row in paper.rows_of(recipe.name):
        cells = [
            f"{name} {value / 100:.4g}" + ("†" if name in row.reimplemented else "")
            for name, value in row.published.items()
            if value is not None
        ]
        if cells:
            terminal.results(filled(f"published on COCO ({row})", cells))


def _report(recipe: "Recipe", done: "Reproduced", output: Path) -> None:
    from miacap.captioning import best_scores
    from miacap.cli.reporting import filled
    from miacap.runs.card import shown

    scores = best_scores(done.result)
    numbers = [f"{name} {shown(name, value)}" for name, value in scores.items()]
    terminal.result(f"{output}: {recipe.name}, {done.parameters} parameters")
    whose = " (with another picture's concepts)" if recipe.concepts == "another's" else ""
    terminal.results(filled(f"best on dev{whose}", numbers))
    for label, reading in done.readings.items():
        terminal.results(filled(label, [f"{name} {value:.4f}" for name, value in reading.items()]))
    _published(recipe)
