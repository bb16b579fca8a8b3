"""`miacap score`: captions against references, every COCO metric, no Java."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.options import Quiet, Seed
from miacap.errors import DataError

if TYPE_CHECKING:
    from miacap.metrics import Scores

Optional = Path | None

_References = Annotated[
    Path, typer.Argument(help="COCO annotations, JSON Lines, CSV, Flickr tokens, a dictionary.")
]
_Candidates = Annotated[Path, typer.Argument(help="COCO results, JSON Lines, CSV or a dictionary.")]
_Metrics = Annotated[
    list[str] | None, typer.Option("--metric", "-m", help="Only this metric; may be repeated.")
]
_Against = Annotated[
    Optional, typer.Option(help="Another system's candidates: test the differences.")
]
_Json = Annotated[Optional, typer.Option("--json", help="Write scores and signature here.")]
_Csv = Annotated[Optional, typer.Option("--csv", help="The same as CSV.")]
_PerPicture = Annotated[
    Optional, typer.Option(help="Write each picture's scores here (JSON Lines).")
]
_Df = Annotated[
    Optional, typer.Option("--df", help="Document frequencies of a larger set, for CIDEr-D.")
]
_WriteDf = Annotated[
    Optional, typer.Option("--write-df", help="Write these references' frequencies here.")
]
_Tuples = Annotated[
    Optional, typer.Option(help="Another parser's tuples for SPICE (docs/spice.md).")
]
_Training = Annotated[
    Optional, typer.Option(help="Training captions: also say how many captions are new.")
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
    resamples: _Resamples = 1000,
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
    from miacap.metrics.matching import match

    # Everything is read before anything takes time: METEOR and SPICE may take minutes.
    known, given = files.read_references(references), files.read_candidates(candidates)
    others = None if against is None else files.read_candidates(against)
    trained = None if training is None else files.read_references(training)
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
        count_empty=count_empty,
        ids=ids,
        quiet=quiet,
    )
    scores = _score(score_all, given, candidates, quiet)
    ranges = comparisons.intervals(scores, resamples, seed) if resamples else None
    terminal.results(reports.table(scores, ranges, percent))
    if json_file is not None:
        reports.write_json(json_file, scores, ranges)
    if csv_file is not None:
        reports.write_csv(csv_file, scores, ranges)
    if per_picture is not None:
        reports.write_per_picture(per_picture, scores)
    if against is not None and others is not None:
        other = _score(score_all, others, against, quiet)
        _compare(scores, other, resamples or 1000, seed, percent)
    if diversity or trained is not None:
        pairs = match(known, given, allow_missing, count_empty=count_empty, ids=ids)
        _describe(list(pairs.candidates), trained, tokenized)


def _score(
    compute: "Callable[[Mapping[str, str]], Scores]",
    given: Mapping[str, str],
    path: Path,
    quiet: bool,
) -> "Scores":
    try:
        scores = compute(given)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if not quiet:
        for warning in scores.warnings:
            terminal.tell(f"warning: {warning}")
    return scores


def _compare(first: "Scores", second: "Scores", resamples: int, seed: int, percent: bool) -> None:
    from miacap.metrics import comparisons, reports

    differences = comparisons.paired_bootstraps(first, second, None, resamples, seed)
    permuted = {
        name: comparisons.permutation_test(first, second, name, resamples, seed)
        for name in differences
    }
    terminal.results("\n" + reports.comparison(differences, permuted, percent))


def _describe(
    captions: list[str], training: Mapping[str, list[str]] | None, tokenized: bool
) -> None:
    from dataclasses import asdict

    from miacap.metrics import diversity

    known = None if training is None else [c for some in training.values() for c in some]
    found = asdict(diversity.diversity(captions, known, tokenized=tokenized))
    terminal.result("")
    for name, value in found.items():
        if value is not None:
            number = f"{value:.4f}" if isinstance(value, float) else str(value)
            terminal.result(f"{name.replace('_', ' '):<18}{number:>9}")


def _write_frequencies(
    path: Path, references: dict[str, list[str]], name: str, tokenized: bool
) -> None:
    from miacap.metrics import DocumentFrequencies
    from miacap.metrics.tokens import tokenised

    pictures = references.values()
    lists = ([s.split() for s in (some if tokenized else tokenised(some))] for some in pictures)
    DocumentFrequencies.count(lists, name=name).save(path)
