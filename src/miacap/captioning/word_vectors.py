"""Word vectors that somebody trained, as start values of a captioner's word table.

Two forms of text, told apart by the first line:

    word2vec    "400000 300", then a line for each word
    GloVe       a line for each word: the word, a blank, its numbers

The file is read line by line, and only vectors of words in the vocabulary are kept: files of
millions of words take no memory. Of a word that comes twice the first vector counts. Words that
the file lacks keep the values that were drawn.
"""

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from jaxtyping import Float
from torch import Tensor, nn

from miacap.errors import DataError, SettingsError
from miacap.reading import open_file, short
from miacap.runs import RunSettings
from miacap.runs.folder import make
from miacap.tables.text import read_lines
from miacap.text import Vocabulary
from miacap.wording import counted

__all__ = ["WordVectors", "read_word_vectors", "table_of"]

_MOST_LINES = 50_000_000
"""Lines beyond which no file of word vectors goes; the largest public ones have some millions."""


@dataclass(frozen=True)
class WordVectors:
    """Vectors of those words of a vocabulary that a file has."""

    name: str
    """Of the file, without its folder."""
    sha256: str
    """Checksum of its bytes as they were read."""
    ids: tuple[int, ...]
    rows: Float[Tensor, "N D"]

    def fill(self, table: nn.Embedding) -> None:
        """Put the vectors into a word table; other words stay as they are."""
        with torch.no_grad():
            table.weight[list(self.ids)] = self.rows.to(table.weight)


def table_of(module: nn.Module, captioner: str) -> nn.Embedding:
    """Give a captioner's word table, its attribute `embedding`. Raises SettingsError."""
    table = getattr(module, "embedding", None)
    if not isinstance(table, nn.Embedding):
        raise SettingsError(
            f"{captioner!r} has no word table (an nn.Embedding named `embedding`) that word "
            "vectors could fill; leave --word-vectors out."
        )
    return table


def read_word_vectors(
    path: str | os.PathLike[str], vocabulary: Vocabulary, settings: RunSettings
) -> WordVectors:
    """Read the vectors of a vocabulary's words.

    Args:
        path: a file of one of the two forms, packed with gzip or not.
        vocabulary: of the captions.
        settings: of the run; its word table says how long a vector is.

    Raises:
        DataError: no such file or form, a line that is not as the first one says, fewer or more
            lines than it says, a number that is none or not finite, or none of the words.
        SettingsError: vectors of another length than the captioner's, or no word table.
    """
    with torch.device("meta"):
        table = table_of(make(settings, len(vocabulary)), settings.captioner)
    width = table.embedding_dim
    found: dict[int, list[float]] = {}
    promised, vectors, last = None, 0, ""
    with open_file(path, unpacks=True) as file:
        hashed = _Hashed(file)
        for number, line in enumerate(read_lines(hashed, str(path)), start=1):  # type: ignore[arg-type]
            if number > _MOST_LINES:
                raise DataError(f"{path}: more than {_MOST_LINES:,} lines; that is no such file.")
            line = line.rstrip()
            if number == 1:
                given, promised = _form(line, str(path))
                _check_width(given, width, str(path), settings)
                if promised is not None:
                    continue
            if line:
                vectors, last = vectors + 1, line
            word = line.partition(" ")[0]
            if word in vocabulary and vocabulary.id(word) not in found:
                values = _values(line, word, width, f"{path}, line {number}")
                if values is not None:
                    found[vocabulary.id(word)] = values
    _check_whole(promised, vectors, last, width, str(path))
    if not found:
        raise DataError(
            f"{path}: has none of the {counted(len(vocabulary.words), 'word')} of the captions; "
            "see whether it is of their language, and in small letters."
        )
    rows = torch.tensor(list(found.values()), dtype=torch.float32)
    return WordVectors(Path(path).name, hashed.digest(), tuple(found), rows)


def _check_whole(promised: int | None, vectors: int, last: str, width: int, name: str) -> None:
    """Refuse a file that was cut off, or that two copies ran into."""
    if promised is not None and promised != vectors:
        raise DataError(
            f"{name}: its first line says {counted(promised, 'vector')}, but it has "
            f"{vectors:,}; get the file again."
        )
    if last and last.count(" ") < width:
        raise DataError(
            f"{name}: its last line has {counted(last.count(' '), 'number')}, not {width}: it was "
            "cut off; get the file again."
        )


def _form(line: str, name: str) -> tuple[int, int | None]:
    """Give the length of a vector, and the number of vectors where the first line says it."""
    cells = line.split(" ")
    if len(cells) == 2 and all(cell.isascii() and cell.isdigit() for cell in cells):
        return int(cells[1][:9]), int(cells[0][:12])
    if len(cells) < 3 or _number(cells[1]) is None:
        raise DataError(
            f"{name}: begins with {short(line)}, where word vectors have a word and its numbers, "
            'or their count and length ("400000 300"); give a file in word2vec\'s text form or '
            "GloVe's."
        )
    return len(cells) - 1, None


def _check_width(given: int, wanted: int, name: str, settings: RunSettings) -> None:
    if given == wanted:
        return
    can = "word_width" in {*vars(settings.parsed_sizes)}
    advice = f"set --set sizes.word_width={given}, or " if can else ""
    raise SettingsError(
        f"{name}: vectors of {counted(given, 'number')}, but the word table of "
        f"{settings.captioner!r} has {wanted} a word; {advice}give vectors of {wanted}."
    )


def _values(line: str, word: str, width: int, where: str) -> list[float] | None:
    """Read the numbers of a line; None where the word goes on behind a blank, and is another."""
    cells = line.split(" ")
    if len(cells) > width + 1 and _number(cells[1]) is None:
        return None
    if len(cells) != width + 1:
        raise DataError(
            f"{where}: {word!r} has {counted(len(cells) - 1, 'number')}, not {width} as the first "
            "line says; get the file again."
        )
    values = []
    for cell in cells[1:]:
        value = _number(cell)
        if value is None:
            raise DataError(f"{where}: {short(cell)} is no finite number; get the file again.")
        values.append(value)
    return values


def _number(text: str) -> float | None:
    """Read a number that single precision holds, or give None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 3e38 else None


class _Hashed:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def readline(self, size: int = -1) -> bytes:
        return self._seen(self._file.readline(size))

    def read(self, size: int = -1) -> bytes:
        return self._seen(self._file.read(size))

    def digest(self) -> str:
        return self._hash.hexdigest()

    def _seen(self, data: bytes) -> bytes:
        self._hash.update(data)
        return data
