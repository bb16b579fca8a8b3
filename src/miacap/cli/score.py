"""`miacap score`: captions against references, every COCO metric, no Java."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap.cli.options import Quiet, Seed

if TYPE_CHECKING:
    from miacap.metrics import Scores

Optional = Path | None


def score(
    references: Annotated[
        Path, typer.Argument(help="COCO annotations, JSON Lines, CSV, Flickr tokens, a dictionary.")
    ],
    candidates: Annotated[
        Path, typer.Argument(help="COCO results, JSON Lines, CSV or a dictionary.")
    ],
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="Only this metric; may be repeated."),
    ] = None,
    against: Annotated[
        Optional, typer.Option(help="Another system's candidates: test the differences.")
    ] = None,
    json_file: Annotated[
        Optional, typer.Option("--json", help="Write scores and signature here.")
    ] = None,
    csv_file: Annotated[Optional, typer.Option("--csv", help="The same as CSV.")] = None,
    per_picture: Annotated[
        Optional, typer.Option(help="Write each picture's scores here (JSON Lines).")
    ] = None,
    df: Annotated[
        Optional, typer.Option("--df", help="Document frequencies of a larger set, for CIDEr-D.")
    ] = None,
    write_df: Annotated[
        Optional, typer.Option("--write-df", help="Write these references' frequencies here.")
    ] = None,
    spice_tuples: Annotated[
        Optional, typer.Option(help="Another parser's tuples for SPICE (docs/spice.md).")
    ] = None,
    training: Annotated[
        Optional, typer.Option(help="Training captions: also say how many captions are new.")
    ] = None,
    diversity: Annotated[bool, typer.Option("--diversity", help="Describe the captions.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score the pictures that both files have.")
    ] = False,
    tokenized: Annotated[
        bool, typer.Option("--tokenized", help="Captions are tokenised: don't do it again.")
    ] = False,
    percent: Annotated[
        bool, typer.Option("--percent", help="Print the table times 100; files never are.")
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=0, help="Bootstrap draws for intervals; 0 for none.")
    ] = 1000,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Score CANDIDATES against REFERENCES as the COCO caption evaluation does.

    Prints a table with 95 % intervals (pictures resampled) and the signature that
    another table must share to be compared. Scores run from 0 to 1, CIDEr-D to 10.

    Example: miacap score captions_val2014.json results.json --json scores.json
    """
    from miacap.metrics import DocumentFrequencies, comparisons, files, reports, spice
    from miacap.metrics import score as compute

    known = files.read_references(references)
    if write_df is not None:
        _write_frequencies(write_df, known, references.name, tokenized)
    score_all = partial(
        compute,
        known,
        metrics=metrics,
        tokenized=tokenized,
        frequencies=None if df is None else DocumentFrequencies.load(df),
        tuples=None if spice_tuples is None else spice.read_tuples(spice_tuples),
        allow_missing=allow_missing,
        quiet=quiet,
    )
    given = files.read_candidates(candidates)
    scores = score_all(given)
    _warn(scores, quiet)
    ranges = comparisons.intervals(scores, resamples, seed) if resamples else None
    typer.echo(reports.table(scores, ranges, percent))
    if against is not None:
        other = score_all(files.read_candidates(against))
        _compare(scores, other, resamples or 1000, seed, percent)
    if diversity or training is not None:
        _describe([given[name] for name in scores.ids], training, tokenized)
    if json_file is not None:
        from miacap.files import write_json

        write_json(json_file, reports.as_json(scores, ranges))
    if csv_file is not None:
        reports.write_csv(csv_file, scores, ranges)
    if per_picture is not None:
        reports.write_per_picture(per_picture, scores)


def _warn(scores: "Scores", quiet: bool) -> None:
    if not quiet:
        for warning in scores.warnings:
            print(f"warning: {warning}", file=sys.stderr)


def _compare(first: "Scores", second: "Scores", resamples: int, seed: int, percent: bool) -> None:
    from miacap.metrics import comparisons, reports

    differences = comparisons.paired_bootstraps(first, second, None, resamples, seed)
    permuted = {
        name: comparisons.permutation_test(first, second, name, resamples, seed)
        for name in differences
    }
    typer.echo("\n" + reports.comparison(differences, permuted, percent))


def _describe(captions: list[str], training: Path | None, tokenized: bool) -> None:
    from dataclasses import asdict

    from miacap.metrics import diversity, files

    known = None
    if training is not None:
        known = [c for some in files.read_references(training).values() for c in some]
    found = asdict(diversity.diversity(captions, known, tokenized=tokenized))
    typer.echo("")
    for name, value in found.items():
        if value is not None:
            number = f"{value:.4f}" if isinstance(value, float) else str(value)
            typer.echo(f"{name.replace('_', ' '):<18}{number:>9}")


def _write_frequencies(
    path: Path, references: dict[str, list[str]], name: str, tokenized: bool
) -> None:
    from miacap.metrics import DocumentFrequencies
    from miacap.metrics.tokens import tokenised

    pictures = references.values()
    lists = ([s.split() for s in (some if tokenized else tokenised(some))] for some in pictures)
    DocumentFrequencies.count(lists, name=name).save(path)
