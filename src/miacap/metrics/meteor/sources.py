"""Where METEOR's tables come from: an installed pycocoevalcap, read as data, never imported.

The package carries the paraphrase table as a file and WordNet's synonyms, the function words
and the non-breaking prefixes inside its Java archive, which is a zip file. None of it is copied
into miacap: the tables keep their own licences (LGPL 2.1, WordNet's).
"""

import functools
import importlib.util
import zipfile
from pathlib import Path

from miacap.errors import DataError, MissingExtra

_ARCHIVE = "meteor-1.5.jar"
_PARAPHRASES = Path("data") / "paraphrase-en.gz"


@functools.cache
def folder() -> Path:
    """Give the folder of METEOR's tables inside the installed pycocoevalcap.

    Raises:
        MissingExtra: pycocoevalcap is not installed, or lacks the tables.
    """
    for parent in locate():
        tables = parent / "meteor"
        if (tables / _ARCHIVE).is_file() and (tables / _PARAPHRASES).is_file():
            return tables
    raise MissingExtra("meteor", "METEOR")


@functools.cache
def locate() -> tuple[Path, ...]:
    """Give the folders of the installed pycocoevalcap, remembered from the first call on.

    `miacap.metrics.pycoco.install` asks before it hides the package from imports.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    places = None if spec is None else spec.submodule_search_locations
    return tuple(map(Path, places or ()))


def paraphrases() -> Path:
    """Give the path of the gzipped paraphrase table (three lines an entry)."""
    return folder() / _PARAPHRASES


def lines(member: str) -> list[str]:
    """Read one text member of the archive, without line ends and without a last empty line.

    Args:
        member: path inside the archive, such as `function/english.words`.

    Raises:
        MissingExtra: pycocoevalcap is not installed.
        DataError: the archive is damaged or lacks the member.
    """
    archive = folder() / _ARCHIVE
    try:
        with zipfile.ZipFile(archive) as opened:
            text = opened.read(member).decode("utf-8")
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise DataError(
            f"{archive}: {member} cannot be read ({error}); install pycocoevalcap 1.2 anew."
        ) from None
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")
