"""`miacap evaluate`: captions and scores of a run on a split."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miacap import terminal
from miacap.cli.datasets import read_dataset
from miacap.cli.options import Beam, Data, Device, Features, LengthPenalty, Photos, Quiet, Splits
from miacap.cli.outputs import check_outputs, check_page
from miacap.wording import by_number, counted

if TYPE_CHECKING:
    from miacap.captioning import Evaluation
    from miacap.concepts import ConceptFolder
    from miacap.data import Dataset, FeatureStore
    from miacap.data.photos import Photos as PhotoSource
    from miacap.runs import Run, Trained

_LISTED = 5


def evaluate(
    run: Annotated[
        Path, typer.Argument(help="A trained run folder, or an installed captioner's name.")
    ],
    data: Data,
    features: Features,
    split: Annotated[str, typer.Option(help="Which pictures.")] = "dev",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the captions here (JSON Lines).")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores here, signature included.")
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="RUN", help="Average RUN's word probabilities with this run's too."
        ),
    ] = None,
    concepts: Annotated[
        Path | None,
        typer.Option(
            help="Concepts to take in place of what the run's extractor finds: the folder "
            "that it was trained with, or other lists of `concepts read`."
        ),
    ] = None,
    beam: Beam = None,
    length_penalty: LengthPenalty = None,
    df: Annotated[
        Path | None,
        typer.Option(
            "--df",
            help="Document frequencies for CIDEr-D in place of the split's own, so that splits "
            "and sets compare: a file of such (see --write-df) or of captions.",
        ),
    ] = None,
    write_df: Annotated[
        Path | None,
        typer.Option("--write-df", help="Write the frequencies of this split's references here."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page here: each photo with its caption, worst first."),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Show and compare this run's captions beside, in --html and --json."
        ),
    ] = None,
    spice: Annotated[
        bool, typer.Option("--spice", help="Score SPICE too; --html then shows its tuples.")
    ] = False,
    no_photos: Annotated[
        bool, typer.Option("--no-photos", help="Leave the photos out of --html.")
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Learn from the split how often RUN's captions are wrong, by how probable they "
            "are, and keep it in RUN (confidence.json) for `caption --scores` and --alt.",
        ),
    ] = False,
    photos: Photos = None,
    splits: Splits = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Caption a split with RUN (or with an ensemble) and score it where it has captions.

    Beside the scores stands whether the captions depend on the photos: how far CIDEr-D
    is above that of one caption given to every photo, and above that of the run's own
    captions given to other photos. A split without captions is only captioned.
    A run trained on concepts from a file holds no extractor: give it --concepts.

    Example: miacap evaluate runs/a flickr8k --features f --split test

    An ensemble: miacap evaluate runs/a flickr8k --features f --with runs/b

    A page: miacap evaluate runs/a flickr8k --features f --beside runs/b --html r.html
    """
    from miacap import captioning, runs
    from miacap.captioning.evaluation import write_rows
    from miacap.concepts import ConceptFolder
    from miacap.data import FeatureStore
    from miacap.metrics.files import read_frequencies

    folders = runs.chosen((run, *(others or [])))
    compared = () if beside is None else runs.chosen(beside)
    if calibrate:
        _require_own_search(others, beam, length_penalty, df)
    check_outputs(
        (output, json_file, write_df, html),
        inputs=(data, df, None if splits is None else Path(splits), *(photos or [])),
        folders=(*folders, features, concepts, *compared),
    )
    _require_page(html)  # before an hour of captioning, not behind it
    from miacap.training.processes import join  # loads torch: behind what may be refused

    sharing = join(device)
    dataset = read_dataset(data, photos, features, splits)
    store = FeatureStore.open(features)
    loaded = [runs.load(folder) for folder in folders]
    joined = runs.join(loaded) if others else loaded[0]
    stored = ConceptFolder.open(concepts) if concepts else None
    _tell(joined, split, stored)
    metrics = (*captioning.DEFAULT_METRICS, *(("SPICE",) if spice else ()))
    fixed = None if df is None else read_frequencies(df)

    def evaluated(trained: "Trained") -> "Evaluation":
        return captioning.evaluate(
            trained, dataset, split, store, concepts=stored, beam=beam,
            length_penalty=length_penalty, frequencies=fixed, quiet=quiet, sharing=sharing,
            device=sharing.device(device), metrics=metrics,
        )  # fmt: skip

    result, second = evaluated(joined), evaluated(runs.load(compared[0])) if compared else None
    if not sharing.main:
        return
    if output is not None:
        write_rows(output, result.rows)
    if write_df is not None:
        _write_frequencies(write_df, dataset, split, result)
    _print(result, split)
    if calibrate:
        _calibrate(loaded[0], result, dataset, store, split)
    if json_file is not None:
        _write_json(json_file, result, second)
    if html is not None:
        shown = None if no_photos else dataset.photos
        _write_page(html, dataset, split, shown, [result, second], _names(folders, compared))


def _write_page(
    path: Path,
    dataset: "Dataset",
    split: str,
    photos: "PhotoSource | None",
    results: "list[Evaluation | None]",
    names: list[str],
) -> None:
    """Write the page of a run, or of two beside each other, each by its name."""
    from miacap import captioning
    from miacap.explain import report

    first, *more = (
        captioning.inspect_captions(result, dataset, name)
        for result, name in zip(filter(None, results), names, strict=True)
    )
    report.write_report(path, first, split, photos, beside=more[0] if more else None)


def _require_page(html: Path | None) -> None:
    """See that a page can be written, where one is wanted."""
    check_page(html)
    if html is not None:
        from miacap.explain import report

        report.require()


def _require_own_search(
    others: list[Path] | None, beam: int | None, length_penalty: float | None, df: Path | None
) -> None:
    """Refuse to learn how often captions are wrong that are not those of the run's own search."""
    if others or beam is not None or length_penalty is not None or df is not None:
        raise typer.BadParameter(
            "learns of RUN alone, by its own search: leave out --with, --beam, --length-penalty "
            "and --df.",
            param_hint="'--calibrate'",
        )


def _names(folders: Sequence[Path], compared: Sequence[Path]) -> list[str]:
    """Name what was evaluated, an ensemble by all its runs, and the run beside it."""
    from miacap.runs import names_of

    names = names_of([*folders, *compared])
    return ["+".join(names[: len(folders)]), *names[len(folders) :]]


def _calibrate(
    run: "Run", result: "Evaluation", dataset: "Dataset", store: "FeatureStore", split: str
) -> None:
    from miacap.captioning.calibrating import bias, calibrate
    from miacap.cli.reporting import paragraph
    from miacap.runs.confidence import FILE
    from miacap.runs.folder import held

    with held(run.folder):  # no training changes the weights meanwhile
        found = calibrate(run, result, dataset, store, split)
        found.save(run.folder)
    told = (
        f"of {counted(found.pictures, 'caption')} {found.wrong:.0%} are such as people "
        f"would call wrong; expected calibration error {found.calibration_error:.3f} "
        f"({run.folder / FILE})"
    )
    terminal.results(paragraph(told, "calibrated: "))
    if doubt := bias(run):
        terminal.tell(f"warning: {doubt}")


def _write_frequencies(path: Path, dataset: "Dataset", split: str, result: "Evaluation") -> None:
    from miacap.errors import DataError
    from miacap.metrics import DocumentFrequencies

    captions = dataset.captions
    scored = [row.id for row in result.rows if row.error is None and row.id in captions]
    if not scored:
        raise DataError(f"{path}: {split} has no captions to count frequencies of.")
    name = f"{dataset.name}-{split}"
    DocumentFrequencies.of_captions([captions[id] for id in scored], name).save(path)


def _tell(run: "Trained", split: str, concepts: "ConceptFolder | None") -> None:
    """Say on standard error what a reader of the scores has to know about the concepts."""
    from miacap.concepts import what_to_know

    given = concepts.source if concepts is not None else None
    for member in run.members:
        note = None if member.concepts is None else what_to_know(member.concepts, split, given)
        if note is not None:
            terminal.tell(f"warning: {note}")
            return


def _meaning(result: "Evaluation") -> list[str]:
    """Say what the scores have to be read with, in sentences."""
    from miacap.captioning import blind

    every = result.controls
    said = [blind.above(name, i.difference, i.low, i.high) for name, i in every.items()]
    said += [blind.verdict(i.low for i in every.values())]
    said += [result.references.told_of_references(result.maximum_words) or ""]
    return [*filter(None, said)]


def _print(result: "Evaluation", split: str) -> None:
    from miacap.cli.reporting import paragraph

    for leak in result.leaks:
        terminal.tell(f"warning: {leak.told}")
    aside = [row for row in result.rows if row.error is not None]
    for row in aside[:_LISTED]:
        terminal.tell(f"set aside: {row.error}")
    if len(aside) > _LISTED:
        terminal.tell(f"set aside: {counted(len(aside), 'photo')} in all")
    terminal.result(
        f"{counted(result.captioned, 'photo')} of {split}: "
        f"{counted(result.distinct, 'distinct caption')}"
    )
    if result.empty:
        terminal.result(f"{result.empty} of them {by_number(result.empty, 'is', 'are')} empty")
    terminal.result(f"{result.rate:.0f} captions a second, in {result.seconds:.1f} s")
    if result.scores is None:
        terminal.result("no captions in this split: nothing to score")
        return
    for name, value in result.scores.items():
        terminal.result(f"{name:<8} {value:.4f}")
    for sentence in _meaning(result):
        terminal.results(paragraph(sentence))
    terminal.result(f"signature: {result.scores.signature}")


def _write_json(path: Path, result: "Evaluation", beside: "Evaluation | None") -> None:
    from miacap.files import output_json

    told = _numbers(result)
    output_json(path, told if beside is None else {**told, "beside": _numbers(beside)})


def _numbers(result: "Evaluation") -> dict[str, Any]:
    from miacap.settings import to_json

    controls = {
        name: {"difference": i.difference, "low": i.low, "high": i.high}
        for name, i in result.controls.items()
    }
    scores = result.scores
    return {
        **({} if scores is None else {name: float(value) for name, value in scores.items()}),
        "signature": None if scores is None else scores.signature,
        "photos": result.captioned,
        "set_aside": len(result.rows) - result.captioned,
        "distinct": result.distinct,
        "empty": result.empty,
        "references": result.references.captions,
        "longer_references": result.longer_references,
        "seconds": result.seconds,
        "captions_per_second": result.rate,
        "CIDEr-D above": controls,
        "leaks": [to_json(leak) for leak in result.leaks],
    }
