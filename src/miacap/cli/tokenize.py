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
    inside a caption count as a blank.

    Example: echo "The dog's ball." | miacap tokenize -
    """
    from miacap.reading import open_file

    if str(file) == "-":
        _lines(sys.stdin.buffer, "standard input", keep_punctuation)
        return
    with open_file(file) as lines:
        _lines(lines, str(file), keep_punctuation)


def _lines(lines: BinaryIO, name: str, keep_punctuation: bool) -> None:
    from miacap.errors import DataError
    from miacap.tables.text import LONGEST_ROW, too_long
    from miacap.text import tokenize as split

    pieces = iter(lambda: lines.readline(LONGEST_ROW + 2), b"")
    for number, line in enumerate(pieces, start=1):
        if len(line) > LONGEST_ROW + 1:
            raise DataError(too_long(name, number))
        try:
            text = line.removesuffix(b"\n").decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}, line {number}: not UTF-8 text (byte {error.start}); save it as UTF-8."
            ) from None
        tokens = " ".join(split(text, keep_punctuation=keep_punctuation))
        terminal.utf8(tokens)
