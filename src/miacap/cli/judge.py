"""`miacap judge`: how well metrics follow human ratings."""

import math
from pathlib import Path
from typing import Annotated

import typer

from miacap import terminal
from miacap.cli.options import Quiet
from miacap.cli.outputs import check_outputs
from miacap.wording import counted, first_lines

_LISTED = 5


def judge(
    file: Annotated[
        Path,
        typer.Argument(help="Ratings: Flickr8k's expert or crowd file, or a table (CSV, JSON)."),
    ],
    references: Annotated[
        Path, typer.Option("--references", help="The pictures' captions, e.g. Flickr8k.token.txt.")
    ],
    protocol: Annotated[
        str | None,
        typer.Option(help="flat, flat-all, mean, mean-all or crowd; by default what fits FILE."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="Only this metric; may be repeated."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the taus here.")] = None,
    quiet: Quiet = False,
) -> None:
    """Correlate every metric with human ratings: Kendall's tau-b and tau-c, times 100.

    A table has a picture, a caption and ratings. Under the default protocol each rating
    counts alone and pairs with one of the picture's own captions are dropped.

    Example: miacap judge ExpertAnnotations.txt --references Flickr8k.token.txt
    """
    from miacap.files import output_json
    from miacap.metrics import judgement_files, judgements

    check_outputs([json_file], inputs=(file, references))
    read = judgement_files.read_judgements(file, references)
    if read.set_aside:
        terminal.tell(f"set aside: {counted(len(read.set_aside), 'row')}")
        for line in first_lines(read.set_aside, _LISTED):
            terminal.tell(f"  {line}")
    chosen = protocol or ("crowd" if read.crowd else "flat")
    agreement = judgements.judge(read.judgements, read.references, metrics, chosen, quiet=quiet)
    terminal.result(f"{'metric':<12}{'tau-b':>9}{'tau-c':>9}")
    for name, pair in agreement.taus.items():
        terminal.result(f"{name:<12}{pair.tau_b:>9.2f}{pair.tau_c:>9.2f}")
    for name, reason in agreement.scores.skipped.items():
        terminal.result(f"{name:<12}{'-':>9}{'-':>9}  {reason}")
    terminal.result(
        f"protocol: {chosen}; {counted(agreement.pairs, 'pair')} ({agreement.dropped} of a "
        f"picture's own captions dropped), "
        f"{counted(agreement.observations, 'observation')}; times 100"
    )
    terminal.result(f"signature: {agreement.scores.signature}")
    if json_file is not None:
        taus = {
            n: {"tau_b": _plain(t.tau_b), "tau_c": _plain(t.tau_c)}
            for n, t in agreement.taus.items()
        }
        output_json(json_file, taus)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
