"""`miacap tokenize`: lines in, lines of tokens out."""

import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from miacap import terminal


def tokenize(
    file: Annotated[Path, typer.Argument(help="A text file, or - for standard input.")],
    keep_punctuation: Annotated[
        bool, typer.Option("--keep-punctuation", help="Keep what the scorers drop.")
    ] = False,
) -> None:
    """Tokenise captions as the COCO scorers do: one line in, one line out.

    Each line is tokenised alone. Only a newline ends a line; other line breaks
    inside a caption count as a blank. UTF-8, UTF-16 and UTF-32 are read, plain or gzip.

    Example: echo "The dog's ball." | miacap tokenize -
    """
    from miacap.reading import open_file

    if str(file) == "-":
        _lines(sys.stdin.buffer, "standard input", keep_punctuation)
        return
    with open_file(file, unpacks=True) as lines:
        _lines(lines, str(file), keep_punctuation)


def _lines(lines: BinaryIO, name: str, keep_punctuation: bool) -> None:
    from miacap.tables.text import read_lines
    from miacap.text import tokenize as split

    for line in read_lines(lines, name):
        terminal.utf8(" ".join(split(line, keep_punctuation=keep_punctuation)))
