"""`miacap score`: captions against references, every COCO metric, no Java."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from miacap import terminal
from miacap.cli.options import Quiet, Seed
from miacap.cli.outputs import check_outputs
from miacap.errors import DataError

if TYPE_CHECKING:
    from miacap.metrics import Scores
    from miacap.metrics.files import FromFile
    from miacap.metrics.matching import Pairs
    from miacap.metrics.reports import System

_File = Path | None
_Captions = Mapping[str, list[str]]
_Result = TypeVar("_Result")
_RESAMPLES = 1000  # of a comparison where no intervals are wanted

_References = Annotated[
    Path, typer.Argument(help="COCO annotations, JSON Lines, CSV, Flickr tokens, a dictionary.")
]
_Candidates = Annotated[Path, typer.Argument(help="COCO results, JSON Lines, CSV or a dictionary.")]
_Metrics = Annotated[
    list[str] | None, typer.Option("--metric", "-m", help="Only this metric; may be repeated.")
]
_Against = Annotated[
    list[Path] | None,
    typer.Option(help="Another system's candidates: test the differences; may be repeated."),
]
_Json = Annotated[_File, typer.Option("--json", help="Write scores and signature here.")]
_Csv = Annotated[_File, typer.Option("--csv", help="The same as CSV.")]
_PerPicture = Annotated[_File, typer.Option(help="Write each picture's scores here (JSON Lines).")]
_Df = Annotated[
    _File,
    typer.Option(
        "--df",
        help="Document frequencies of a larger set, for CIDEr-D: a file of such (see --write-df) "
        "or of captions.",
    ),
]
_WriteDf = Annotated[
    _File, typer.Option("--write-df", help="Write these references' frequencies here.")
]
_Tuples = Annotated[_File, typer.Option(help="Another parser's tuples for SPICE (docs/spice.md).")]
_Training = Annotated[
    _File, typer.Option(help="Training captions: also say how many captions are new.")
]
_Diversity = Annotated[bool, typer.Option("--diversity", help="Describe the captions.")]
_Missing = Annotated[
    bool, typer.Option("--allow-missing", help="Score the pictures that both files have.")
]
_CountEmpty = Annotated[
    bool, typer.Option("--count-empty", help="Count empty references, as the official scorer does.")
]
_Ids = Annotated[
    str | None, typer.Option(help="Compare ids as name, stem or number (COCO_..._042.jpg is 42).")
]
_Tokenized = Annotated[
    bool, typer.Option("--tokenized", help="Captions are tokenised: don't do it again.")
]
_Percent = Annotated[
    bool, typer.Option("--percent", help="Print the table times 100; files never are.")
]
_Resamples = Annotated[int, typer.Option(min=0, help="Bootstrap draws for intervals; 0 for none.")]


def score(
    references: _References,
    candidates: _Candidates,
    metrics: _Metrics = None,
    against: _Against = None,
    json_file: _Json = None,
    csv_file: _Csv = None,
    per_picture: _PerPicture = None,
    df: _Df = None,
    write_df: _WriteDf = None,
    spice_tuples: _Tuples = None,
    training: _Training = None,
    diversity: _Diversity = False,
    allow_missing: _Missing = False,
    count_empty: _CountEmpty = False,
    ids: _Ids = None,
    tokenized: _Tokenized = False,
    percent: _Percent = False,
    resamples: _Resamples = _RESAMPLES,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Score CANDIDATES against REFERENCES as the COCO caption evaluation does.

    Prints a table with 95 % intervals (pictures resampled) and the signature that
    another table must share to be compared. Scores run from 0 to 1, CIDEr-D to 10.
    With --against, the table and the files hold every system, and the differences of
    CANDIDATES with each of the others.

    Example: miacap score captions_val2014.json results.json --json scores.json
    """
    from miacap.metrics import files, reports

    paths = [candidates, *(against or [])]
    _check_systems(paths, spice_tuples)
    check_outputs(
        (json_file, csv_file, per_picture, write_df),
        inputs=(references, *paths, df, spice_tuples, training),
    )
    # Everything is read and paired before anything takes time: METEOR and SPICE may take minutes.
    known = files.read_references(references)
    given = [files.read_candidates(path) for path in paths]
    trained = None if training is None else files.read_references(training)
    rules = _Rules(allow_missing, count_empty, ids)
    pairs = [_match(known, some, path, rules) for path, some in zip(paths, given, strict=True)]
    _check_pictures(pairs, paths)
    compute = _scorer(metrics, df, spice_tuples, rules, tokenized, quiet)
    if write_df is not None:
        _write_frequencies(write_df, known, references.name, tokenized)
    all_scores = [
        _named(path, compute, known, some) for path, some in zip(paths, given, strict=True)
    ]
    if not quiet:
        _warn(paths, all_scores)
    systems = _compared(_names(paths), all_scores, resamples, seed)
    if len(systems) > 1:
        terminal.results(reports.systems_table(systems, percent))
    else:
        terminal.results(reports.table(systems[0].scores, systems[0].ranges, percent))
    if json_file is not None:
        reports.write_json(json_file, systems)
    if csv_file is not None:
        reports.write_csv(csv_file, systems)
    if per_picture is not None:
        reports.write_per_picture(per_picture, systems)
    if diversity or trained is not None:
        _describe(list(pairs[0].candidates), trained, tokenized)


class _Rules(NamedTuple):
    """How pictures are paired; named as the arguments of `miacap.metrics.score`."""

    allow_missing: bool
    count_empty: bool
    ids: str | None


def _check_systems(paths: Sequence[Path], tuples: Path | None) -> None:
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise typer.BadParameter(f"{twice[0]} is given twice; a system is not its own rival.")
    if tuples is not None and len(paths) > 1:
        raise typer.BadParameter(
            "--spice-tuples holds the tuples of one system; score the others in calls of their own."
        )


def _names(paths: Sequence[Path]) -> list[str]:
    """Name systems by their files, with folders where two files have one name."""
    names = [path.name for path in paths]
    alike = len(set(names)) < len(names)
    return [str(path) for path in paths] if alike else names


def _match(
    known: "FromFile[list[str]]", given: "FromFile[str]", path: Path, rules: _Rules
) -> "Pairs":
    from miacap.metrics.matching import match

    try:
        return _named(path, match, known, given, **rules._asdict())
    except DataError as error:
        # A file without ids, or with rows set aside, may be why they do not fit.
        raise DataError(" ".join((str(error), *known.notes, *given.notes))) from None


def _named(path: Path, call: Callable[..., _Result], *arguments: Any, **options: Any) -> _Result:
    """Call, and name the file of captions in what is wrong with them."""
    try:
        return call(*arguments, **options)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _check_pictures(pairs: "Sequence[Pairs]", paths: Sequence[Path]) -> None:
    from miacap.metrics.matching import few

    for other, path in zip(pairs[1:], paths[1:], strict=True):
        missing = set(pairs[0].ids) ^ set(other.ids)
        if missing:
            raise DataError(
                f"{path}: other pictures than in {paths[0]} ({few(sorted(missing))}); "
                "systems are compared on the same pictures."
            )


def _scorer(
    metrics: list[str] | None,
    df: Path | None,
    tuples: Path | None,
    rules: _Rules,
    tokenized: bool,
    quiet: bool,
) -> "Callable[..., Scores]":
    from miacap.metrics import score, spice
    from miacap.metrics.files import read_frequencies
    from miacap.metrics.names import chosen

    chosen(metrics)  # a misspelt name is said now
    return partial(
        score,
        metrics=metrics,
        tokenized=tokenized,
        frequencies=None if df is None else read_frequencies(df),
        tuples=None if tuples is None else spice.read_tuples(tuples),
        quiet=quiet,
        **rules._asdict(),
    )


def _warn(paths: Sequence[Path], scores: "Sequence[Scores]") -> None:
    """Print each warning once, with the file's name where not all systems share it."""
    for path, some in zip(paths, scores, strict=True):
        for warning in some.warnings:
            if all(warning in other.warnings for other in scores):
                if some is scores[0]:
                    terminal.tell(f"warning: {warning}")
            else:
                terminal.tell(f"warning: {path}: {warning}")


def _compared(
    names: Sequence[str], scores: "Sequence[Scores]", resamples: int, seed: int
) -> "list[System]":
    from miacap.metrics import comparisons
    from miacap.metrics.reports import System

    systems = []
    for name, some in zip(names, scores, strict=True):
        ranges = comparisons.intervals(some, resamples, seed) if resamples else None
        compared = None
        if some is not scores[0]:
            compared = comparisons.compare(scores[0], some, resamples or _RESAMPLES, seed)
        systems.append(System(name, some, ranges, compared))
    return systems


def _describe(
    captions: list[str], training: Mapping[str, list[str]] | None, tokenized: bool
) -> None:
    from dataclasses import asdict

    from miacap.metrics import diversity

    known = None if training is None else [c for some in training.values() for c in some]
    values = asdict(diversity.diversity(captions, known, tokenized=tokenized))
    terminal.result("")
    for name, value in values.items():
        if value is not None:
            number = f"{value:.4f}" if isinstance(value, float) else str(value)
            terminal.result(f"{name.replace('_', ' '):<18}{number:>9}")


def _write_frequencies(
    path: Path, references: dict[str, list[str]], name: str, tokenized: bool
) -> None:
    from miacap.metrics import DocumentFrequencies

    DocumentFrequencies.of_captions(references.values(), name, tokenized).save(path)
