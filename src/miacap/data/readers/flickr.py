"""Flickr8k and Flickr30k as their authors give them: a token file and lists of the splits.

    1000268201_693b08cb0e.jpg#0<TAB>A child in a pink dress is climbing ...

A key is split at its last "#", a line at its first tab; some copies in circulation have a blank
in place of the tab. Source of the format: Hodosh, Young and Hockenmaier (2013).
"""

import re
from pathlib import Path

from miacap.data.dataset import source
from miacap.data.lines import numbered_lines
from miacap.data.photos import checked_name
from miacap.data.readers.records import Reading
from miacap.errors import DataError

_TERMS = (
    "Photos from Flickr, copyright of their photographers, under Flickr's terms; "
    "for non-commercial research and education only."
)
_TAB_LINE = re.compile(r"([^\t]+)#(\d+)\t(.*)", re.DOTALL)
_BLANK_LINE = re.compile(r"(\S+)#(\d+) +(.*)", re.DOTALL)
_FILE = re.compile(r".*[._-]?token([._].*)?", re.IGNORECASE)


def token_files(folder: Path) -> list[Path]:
    """Find the token files of a folder; lemmatised ones and packed twins are left out."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if named_so(path) and "lemma" not in path.name and path.is_file():
            found.setdefault(path.name.removesuffix(".gz"), path)
    return list(found.values())


def named_so(path: Path) -> bool:
    """Whether a file is called as token files are."""
    return _FILE.fullmatch(path.name.removesuffix(".gz").removesuffix(".txt")) is not None


def looks_right(line: str) -> bool:
    """Whether a line has the form of a token file."""
    return _match(line.rstrip("\r")) is not None


def _match(line: str) -> re.Match[str] | None:
    return _TAB_LINE.fullmatch(line) or _BLANK_LINE.fullmatch(line)


def read(files: list[Path]) -> Reading:
    """Read token files.

    Lines that have no key and numbers that come twice for a picture are set aside.

    Raises:
        DataError: no line has the form, a wrong encoding, a name that leads out of the folder.
    """
    reading = Reading()
    taken: set[tuple[str, str]] = set()
    for path in files:
        known = re.match(r"flickr|results_2013", path.name, re.IGNORECASE)
        reading.sources.append(source(path, _TERMS if known else ""))
        for number, line in numbered_lines(path):
            where = f"{path.name}, line {number}"
            match = _match(line)
            if match is None:
                reading.leave_out("", where, "no NAME#NUMBER, tab, caption")
                continue
            id = checked_name(match.group(1), where)
            reading.mention(id, where)
            if (id, match.group(2)) in taken:
                reading.leave_out(id, where, f"caption {match.group(2)} comes twice; first kept")
                continue
            taken.add((id, match.group(2)))
            reading.caption(id, where, match.group(3))
    if not reading.records:
        raise DataError(f"{files[0]}: no line reads NAME#NUMBER, tab, caption.")
    return reading
