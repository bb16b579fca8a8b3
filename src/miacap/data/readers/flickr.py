"""Flickr8k and Flickr30k as their authors give them: a token file and lists of the splits."""

import re
from itertools import islice
from pathlib import Path

from miacap.data.readers.records import CaptionText, Reading
from miacap.errors import DataError
from miacap.tables import token_lines
from miacap.tables.text import numbered_lines, read_text

_TERMS = (
    "Photos from Flickr, copyright of their photographers, under Flickr's terms; "
    "for non-commercial research and education only."
)
_LOOKED_AT = 100
_FILE = re.compile(r".*[._-]?token([._].*)?", re.IGNORECASE)


def token_files(folder: Path) -> list[Path]:
    """Find what is called like a token file; lemmatised ones and packed twins are left out."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if named_so(path) and "lemma" not in path.name and path.is_file():
            files.setdefault(path.name.removesuffix(".gz"), path)
    return list(files.values())


def named_so(path: Path) -> bool:
    """Whether a file is called as token files are."""
    return _FILE.fullmatch(path.name.removesuffix(".gz").removesuffix(".txt")) is not None


def read(texts: list[CaptionText], reading: Reading) -> None:
    """Read token files.

    Lines that have no key and numbers that come twice for a picture are set aside.

    Raises:
        DataError: no line has the form, or a name leads out of the folder.
    """
    taken: set[tuple[str, str]] = set()
    for text in texts:
        name = text.path.name
        known = re.match(r"flickr|results_2013", name, re.IGNORECASE)
        reading.begin(text, _TERMS if known else "")
        for number, line in numbered_lines(text.content, name):
            where = f"{name}, line {number}"
            token = token_lines.parse(line)
            if token is None:
                reading.leave_out("", where, "no NAME#NUMBER, tab, caption")
                continue
            id = reading.mention(token.name, where)
            if (id, token.number) in taken:
                reading.leave_out(id, where, f"caption {token.number} comes twice; first kept")
                continue
            taken.add((id, token.number))
            reading.caption(id, where, token.caption)
    if not taken:
        raise DataError(f"{texts[0].path}: no line reads NAME#NUMBER, tab, caption.")


def has_tokens(content: str) -> bool:
    """Whether any of the first lines of a text has the form of a token file."""
    lines = islice(numbered_lines(content, ""), _LOOKED_AT)
    return any(token_lines.parse(line) for _, line in lines)


def is_token_file(path: Path) -> bool:
    """Whether a file is a token file by its content; one that cannot be read counts by its name."""
    try:
        return has_tokens(read_text(path))
    except DataError:
        return True
