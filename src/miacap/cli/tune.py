"""`miacap tune`: a backbone that learns from captioned photos, alone or with a captioner."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.datasets import read_with_photos
from miacap.cli.options import (
    Concepts,
    Data,
    Device,
    NeededPhotos,
    Quiet,
    Seed,
    Sets,
    Splits,
    Weights,
)

if TYPE_CHECKING:
    from miacap.data import Dataset
    from miacap.visual import Places

_DEFAULT = "efficientnet-lite2"


def tune(
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the backbone, or for the run.")
    ],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Network to begin with: efficientnet-lite0, -lite1, -lite2 (unless told), "
            "tuned:FOLDER."
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="A trained run, or an installed captioner's name: captioner and network learn "
            "together.",
        ),
    ] = None,
    concepts: Concepts = None,
    photos: NeededPhotos = None,
    splits: Splits = None,
    seed: Seed = 0,
    device: Device = "auto",
    weights: Weights = None,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a backbone until it finds the words of the training captions.

    Interrupted, the same command goes on. `miacap features DATA --backbone
    tuned:FOLDER` then makes features with it; stores and runs that are built on
    them carry its weights. With --from RUN a captioner and its network learn
    together from photos, by cross-entropy or --set objective=self-critical, and a
    run comes out. Where RUN was trained by the same objective, the settings of that
    are kept.

    Example: miacap tune flickr8k -o tuned
    """
    from miacap import visual
    from miacap.cli.reporting import report_set_aside, report_warnings
    from miacap.errors import SettingsError
    from miacap.memory import keep_freed

    if start is None and concepts is not None:
        raise SettingsError("--concepts are for a captioner: name its run with --from RUN.")
    if start is not None and backbone is not None:
        raise SettingsError("The run of --from has its network; leave --backbone out.")
    dataset = read_with_photos(data, photos, splits)
    report_set_aside(dataset.set_aside)
    places = visual.Places.of(weights or ())
    keep_freed()
    if start is None:
        _backbone(dataset, output, backbone or _DEFAULT, places, seed, device, sets or [], quiet)
        return
    report_warnings(dataset.warnings)
    _captioner(dataset, output, start, concepts, places, seed, device, sets or [], quiet)


def _backbone(
    dataset: "Dataset",
    output: Path,
    backbone: str,
    places: "Places",
    seed: int,
    device: str,
    sets: list[str],
    quiet: bool,
) -> None:
    from miacap import concepts
    from miacap.settings import override

    settings = concepts.TuneSettings(seed=seed)
    settings = replace(settings, training=replace(settings.training, device=device))
    _refuse_tuning(sets)
    settings = override(settings, sets)
    report = concepts.tune(dataset, output, settings, backbone=backbone, places=places, quiet=quiet)
    terminal.results(concepts.tuning_table(report))
    if known := concepts.tuning_leak(report):
        terminal.tell(f"note: {known}")


def _refuse_tuning(sets: list[str]) -> None:
    """Refuse `--set tuning.NAME=`, which is for --from RUN; say what it is called without that."""
    from dataclasses import fields

    from miacap.concepts import TuneSettings
    from miacap.errors import SettingsError

    known = {field.name for field in fields(TuneSettings)}
    for assignment in sets:
        group, _, name = assignment.partition("=")[0].strip().partition(".")
        if group != "tuning":
            continue
        own = name if name in known else f"backbone_{name}"
        value = assignment.partition("=")[2]
        instead = f"; without it write --set {own}={value}" if own in known else ""
        full = f"tuning.{name}" if name else "tuning"
        raise SettingsError(f"--set {assignment}: {full} is for --from RUN{instead}.")


def _captioner(
    dataset: "Dataset",
    output: Path,
    start: Path,
    concepts: Path | None,
    places: "Places",
    seed: int,
    device: str,
    sets: list[str],
    quiet: bool,
) -> None:
    from miacap import captioning, runs
    from miacap.cli.reporting import filled, starting_run
    from miacap.concepts import ConceptFolder
    from miacap.runs.card import shown
    from miacap.runs.settings import DECIDED
    from miacap.settings import override

    begun = starting_run(start, output)
    # An objective has training settings of its own, which what is set goes before.
    objective = override(runs.tuned(begun, folder=output), sets, decided=DECIDED).objective
    settings = runs.tuned(begun, objective.kind, output)
    settings = replace(settings, training=replace(settings.training, seed=seed, device=device))
    result = captioning.tune(
        dataset,
        output,
        begun,
        override(settings, sets),
        concepts=ConceptFolder.open(concepts) if concepts else None,
        places=places,
        quiet=quiet,
    )
    scores = captioning.best_scores(result)
    numbers = [f"{name} {shown(name, value)}" for name, value in scores.items()]
    terminal.results(filled(f"{output}: best on dev", numbers))
    if doubt := captioning.doubt(output):
        terminal.tell(f"warning: {output}: {doubt}")
