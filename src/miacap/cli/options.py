"""Arguments that several verbs share, worded once."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Argument(
        help="Photos with captions: a Flickr8k or Flickr30k folder, a folder with "
        "metadata.jsonl, CSV, JSON Lines, COCO, Parquet or tar shards (docs/data.md)."
    ),
]
Photos = Annotated[
    list[Path] | None,
    typer.Option(
        "--photos",
        help="Folder or tar with the photos, if not beside DATA; may be repeated. none: captions "
        "alone.",
    ),
]
NeededPhotos = Annotated[
    list[Path] | None,
    typer.Option(
        "--photos", help="Folder or tar with the photos, if not beside DATA; may be repeated."
    ),
]
Splits = Annotated[
    str | None,
    typer.Option(
        "--splits",
        metavar="PLACE",
        help="Who is in which split: a CSV with the columns id and split, or a folder of lists "
        "(train.txt, dev.txt); others are in none. draw: take the dev and test that DATA lacks "
        "from train, one picture in ten each.",
    ),
]
Features = Annotated[Path, typer.Option("--features", help="Folder that `miacap features` filled.")]
Concepts = Annotated[
    Path | None,
    typer.Option(
        "--concepts",
        help="Folder that `miacap concepts` train, read, detect, zero-shot or join filled.",
    ),
]
WordVectors = Annotated[
    Path | None,
    typer.Option(
        "--word-vectors",
        metavar="FILE",
        help="Start values of the word table: word vectors in word2vec's text form or GloVe's.",
    ),
]
Start = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="A trained run, or an installed captioner's name: its weights, words and captioner "
        "are what training begins with.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="Where to compute: auto (a GPU if there is one), cpu, cuda.")
]
Beam = Annotated[int | None, typer.Option(help="Hypotheses; the run's own by default.", min=1)]
LengthPenalty = Annotated[
    float | None,
    typer.Option(
        "--length-penalty",
        help="Rank captions by log p / length^PENALTY; the run's own by default.",
        min=0.0,
        metavar="PENALTY",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Seed = Annotated[
    int,
    typer.Option("--seed", help="Seed of everything that chance decides.", min=0, max=2**53 - 1),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change any setting, e.g. training.epochs=5; may be repeated. Section Settings of "
        "docs/cli.md lists them all, a wrong name those beside it.",
    ),
]
Weights = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        metavar="PLACE",
        help="File of a network's weights, folder of a model, or folder that holds such; may be "
        "repeated. Else MIACAP_WEIGHTS and the libraries' caches are searched.",
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--allow-download", help="Let a library fetch weights that are not on this machine."
    ),
]
