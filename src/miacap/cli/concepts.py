"""`miacap concepts train`, `read`, `detect`, `compare` and `show`: the words of a picture."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miacap import terminal
from miacap.cli.datasets import read_dataset, read_with_photos, require_there
from miacap.cli.help import Verb
from miacap.cli.options import (
    Data,
    Device,
    Download,
    Features,
    NeededPhotos,
    Photos,
    Quiet,
    Seed,
    Sets,
    Splits,
    Weights,
)
from miacap.wording import first_lines

if TYPE_CHECKING:
    from miacap.concepts import ReadLists

_LISTED = 5

concepts = typer.Typer(
    help="Concepts: train what finds them, or read your own; look at what is found.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@concepts.callback()
def _group() -> None:
    """Concepts: train what finds them, or read your own; look at what is found."""


@concepts.command(cls=Verb, short_help="Train concept extractors and score every picture.")
def train(
    data: Data,
    features: Features,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the concepts.")],
    photos: Photos = None,
    splits: Splits = None,
    seed: Seed = 0,
    device: Device = "auto",
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Train concept extractors and score every picture.

    Training pictures get their scores from extractors that never saw their
    captions (five folds); all others from the one that is kept.

    Example: miacap concepts train flickr8k --features features -o concepts
    """
    from miacap import concepts as room
    from miacap.cli.reporting import report_set_aside
    from miacap.data import FeatureStore
    from miacap.settings import override

    dataset = read_dataset(data, photos, features, splits)
    report_set_aside(dataset.set_aside)
    settings = room.ConceptSettings(seed=seed)
    settings = replace(settings, training=replace(settings.training, device=device))
    settings = override(settings, sets or [])
    report = room.train(FeatureStore.open(features), dataset, output, settings, quiet=quiet)
    terminal.results(room.table(report))
    for doubt in (room.at_base_rate(report), room.known_before(report)):
        if doubt is not None:
            terminal.tell(f"warning: {doubt}")


@concepts.command(cls=Verb, short_help="Read concepts from a file of words for each picture.")
def read(
    file: Annotated[
        Path, typer.Argument(help="Lists of words: a JSON object or list, or JSON Lines.")
    ],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the concepts.")],
    photos: Photos = None,
    splits: Splits = None,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Read concepts from a file with a list of words for each picture.

    {"dog.jpg": ["dog", "grass"], ...}, the most probable word first; or a line
    {"id": "dog.jpg", "concepts": ["dog", "grass"]} for each picture. `train` and
    `reproduce` take the folder as they take one of `concepts train`; a run
    trained with it holds no extractor, so it captions no new photos.

    Example: miacap concepts read image_concepts.json flickr8k -o concepts
    """
    from miacap import concepts as room
    from miacap.cli.reporting import report_set_aside
    from miacap.errors import DataError
    from miacap.settings import override

    require_there(file, unpacks=True)
    if file.is_dir():
        raise DataError(
            f"{file}: is a folder, no lists of words; DATA comes last: miacap concepts read FILE "
            "DATA -o FOLDER"
        )
    dataset = read_dataset(data, photos, splits=splits)
    report_set_aside(dataset.set_aside)
    settings = override(room.ListSettings(), sets or [])
    _tell_lists(room.read(file, dataset, output, settings, quiet=quiet))


def _tell_lists(result: "ReadLists") -> None:
    """Say what was set aside, how long lists are, and whether something is odd about them."""
    from miacap import concepts as room

    for what, items in result.set_aside.items():
        if items:
            terminal.tell(f"{what}: {len(items)}")
            for line in first_lines((f"{i.where}: {i.reason}" for i in items), _LISTED):
                terminal.tell(f"  {line}")
    terminal.results(room.lists_table(result.report))
    doubt = room.suspicion(result.report)
    if doubt is not None:
        terminal.tell(f"warning: {doubt}")


@concepts.command(cls=Verb, short_help="Take a detector's class names as concepts.")
def detect(
    data: Data,
    detector: Annotated[
        str,
        typer.Option(
            "--detector",
            help="An ONNX detector, its description beside it; or torchvision:fasterrcnn_...",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the concepts.")],
    photos: NeededPhotos = None,
    splits: Splits = None,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Look at every photo of DATA with a detector, and take class names as concepts.

    A word has the score of its class's best box. "traffic light" gives both words, where
    captions have them; --set words_file=FILE says otherwise, class by class. A run trained with
    these concepts holds no extractor, so it captions no new photos.

    Example: miacap concepts detect flickr8k --detector picodet.onnx -o concepts
    """
    from miacap import concepts as room
    from miacap.cli.reporting import report_set_aside
    from miacap.settings import override
    from miacap.visual import Places

    if not detector.startswith("torchvision:"):
        require_there(Path(detector))
    dataset = read_with_photos(data, photos, splits)
    report_set_aside(dataset.set_aside)
    settings = override(room.DetectSettings(), sets or [])
    places = Places.of(weights or (), download)
    result = room.detect(
        dataset, detector, output, settings, device=device, places=places, quiet=quiet
    )
    _tell_lists(result)


@concepts.command("zero-shot", cls=Verb, short_help="Let a model such as CLIP find words.")
def zero_shot(
    data: Data,
    model: Annotated[
        str,
        typer.Option("--model", help="CLIP, SigLIP or such: hf:FOLDER-OR-NAME of transformers."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the concepts.")],
    photos: NeededPhotos = None,
    splits: Splits = None,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Have a model of pictures and words say which words fit each photo of DATA.

    The words are those of the training captions; the model never learned from them. A run that is
    trained with these concepts finds those of new photos with the same model.

    Example: miacap concepts zero-shot flickr8k --model hf:models/clip -o zero-shot
    """
    from miacap import concepts as room
    from miacap.cli.reporting import report_set_aside
    from miacap.settings import override
    from miacap.visual import Places

    dataset = read_with_photos(data, photos, splits)
    report_set_aside(dataset.set_aside)
    settings = override(room.ZeroShotSettings(), sets or [])
    places = Places.of(weights or (), download)
    report = room.zero_shot(
        dataset, model, output, settings, device=device, places=places, quiet=quiet
    )
    terminal.results(room.lines(report))


def _require_data_last(data: Path, verb: str) -> None:
    """Refuse a folder of concepts where DATA belongs."""
    from miacap.concepts import ConceptFolder
    from miacap.errors import DataError, RunError

    try:
        ConceptFolder.open(data)
    except (DataError, RunError):
        return
    raise DataError(
        f"{data}: holds concepts, and DATA, the captions, comes last: miacap concepts {verb} "
        "FOLDER... DATA"
    )


@concepts.command(cls=Verb, short_help="Make one source of concepts of several.")
def join(
    folder: Annotated[list[Path], typer.Argument(help="Folders of concepts, at least two.")],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the concepts.")],
    splits: Splits = None,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Make one source of concepts of several.

    Their log-odds are weighed, with weights fitted on training pictures alone; or, with --set
    method=ranks, the mean of their ranks is taken. A run that is trained with them captions new
    photos where every source finds concepts in photos.

    Example: miacap concepts join concepts zero-shot flickr8k -o joined
    """
    from miacap import concepts as room
    from miacap.data import NoPhotos
    from miacap.data import read as read_data
    from miacap.settings import override

    settings = override(room.JoinSettings(), sets or [])
    _require_data_last(data, "join")
    found = [room.ConceptFolder.open(one) for one in folder]
    dataset = read_data(data, photos=NoPhotos(), splits=splits)
    report = room.join(found, dataset, output, settings, quiet=quiet)
    terminal.results(room.lines(report))


@concepts.command(cls=Verb, short_help="Compare several folders of concepts.")
def compare(
    folder: Annotated[list[Path], typer.Argument(help="Folders of concepts.")],
    data: Data,
    output: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers here as well.")
    ] = None,
    splits: Splits = None,
) -> None:
    """Compare several folders of concepts: mAP, P@10, R@10, P@49, R@49.

    Every folder is asked for the words of all of them, on the pictures that all of them
    have, beside what the words' frequencies alone would reach. Training pictures are
    measured as they are stored: out of fold where extractors were trained.

    Example: miacap concepts compare concepts zero-shot joined flickr8k
    """
    from miacap import concepts as room
    from miacap.cli.outputs import check_outputs
    from miacap.data import NoPhotos
    from miacap.data import read as read_data
    from miacap.files import output as opened

    lists = None if splits is None else Path(splits)
    check_outputs([output], inputs=(data, lists), folders=folder)
    _require_data_last(data, "compare")
    found = [room.ConceptFolder.open(one) for one in folder]
    report = room.compare(found, read_data(data, photos=NoPhotos(), splits=splits))
    if output is not None:
        with opened(output) as file:
            file.write(terminal.json_text(report) + "\n")
    terminal.results(room.lines(report))


@concepts.command(cls=Verb, short_help="Print the words that are found in a photo.")
def show(
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="A run folder trained with concepts, or an installed captioner's name; the "
            "installed captioner by default.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for a heat map (PNG) of each word."),
    ] = None,
    top: Annotated[int, typer.Option(help="How many words.", min=1)] = 10,
    device: Device = "auto",
    weights: Weights = None,
    download: Download = False,
) -> None:
    """Print the words that are found in a photo, with probabilities.

    A multiple-instance extractor also says how sure its surest grid cell is; with -o
    it saves for each word where in the photo it sees it, in a folder for each photo.

    Example: miacap concepts show photo.jpg --run runs/combined -o heat
    """
    from miacap import runs
    from miacap.cli.chosen import chosen_run
    from miacap.cli.reporting import table
    from miacap.explain import show as show_concepts
    from miacap.visual import Places, decode
    from miacap.visual.reading import read_file

    folder_of_run = chosen_run(run, "concepts need")
    data = read_file(photo)
    places = Places.of(weights or (), download)
    folder = None if output is None else output / _folder_of(photo, data)
    rows = [
        {
            "word": concept.word,
            "probability": f"{concept.probability:.4f}",
            **({} if concept.hottest is None else {"surest cell": f"{concept.hottest:.4f}"}),
            **({} if concept.heat_map is None else {"heat map": str(concept.heat_map)}),
        }
        for concept in show_concepts(
            runs.load(folder_of_run), decode(data, str(photo)), top, folder, device, places
        )
    ]
    terminal.results(table(rows))


def _folder_of(photo: Path, data: bytes) -> str:
    """Name the folder of a photo's heat maps: two photos of one name are kept apart."""
    name = re.sub(r"[^\w-]", "_", photo.stem)[:80]
    return f"{name}-{hashlib.sha256(data).hexdigest()[:8]}"
