"""Files of references and candidates, in every form that people keep them in.

    COCO annotations   {"images": [...], "annotations": [{"image_id": 1, "caption": "..."}]}
    COCO results       [{"image_id": 1, "caption": "..."}], or {"results": [...]}
    Karpathy           {"images": [{"cocoid": 1, "sentences": [{"raw": "..."}]}]}
    a dictionary       {"1": "..."} or {"1": ["...", "..."]} or {"1": [{"caption": "..."}]}
    JSON Lines         {"id": "1.jpg", "caption": "..."} or {"id": "1.jpg", "captions": [...]}
    CSV, TSV           a header with an id column and one or more caption columns; also with
                       ";" or "|" between them (Flickr30k's results.csv)
    name and caption   1.jpg<TAB>..., without a header
    Flickr tokens      1.jpg#0<TAB>...
    lines              a caption a line, as nlg-eval has them; line 1 is picture 1

The form is read from the content, never from the name; gzip is undone, "-" is standard input.
Rows that cannot be used are set aside and counted.
"""

import os
import re
import zlib
from typing import TypeVar

from miacap.errors import DataError
from miacap.metrics.caption_rows import CaptionRows, Row
from miacap.metrics.frequencies import DocumentFrequencies
from miacap.metrics.matching import Candidates, References, few
from miacap.reading import collector_paused, open_file, short
from miacap.tables.names import (
    CANDIDATE_NAMES,
    CAPTION_NAMES,
    ID_NAMES,
    REFERENCE_NAMES,
    same_form,
)
from miacap.tables.text import GZIP, name_of
from miacap.wording import counted

__all__ = [
    "CAPTION_NAMES",
    "ID_NAMES",
    "FromFile",
    "Row",
    "opened",
    "read_candidates",
    "read_frequencies",
    "read_references",
    "read_rows",
]

Path = str | os.PathLike[str]

_HEAD = 4096
_COUNTS = re.compile(rb'"(?:counts|pictures)"\s*:')
"""What a file of frequencies has near its start, and no file of captions."""
Captions = TypeVar("Captions", str, list[str])


class FromFile(dict[str, Captions]):
    """Captions by id, as a file has them, and what its reader should know.

    Attributes:
        name: of the file.
        notes: what was set aside or taken for something else, in words.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.notes: tuple[str, ...] = ()


def read_references(path: Path) -> FromFile[list[str]]:
    """Read references: id -> captions, in the file's order of pictures.

    Rows of the same id add up.

    Args:
        path: a file in any form that is listed above, or "-" for standard input.

    Raises:
        DataError: not such a file, or no captions in it; with file and line.
    """
    rows = CaptionRows(path, (*REFERENCE_NAMES, *CAPTION_NAMES, *CANDIDATE_NAMES))
    result: FromFile[list[str]] = FromFile(name_of(path))
    spelled: dict[str, str] = {}
    with collector_paused():
        for row in rows:
            id = row.id if row.id.isascii() else spelled.setdefault(same_form(row.id), row.id)
            if id in result:
                result[id].extend(row.captions)
            else:
                result[id] = [*row.captions]
    if not any(result.values()):
        raise DataError(f"{result.name}: no captions in this file.")
    result.notes = tuple(rows.notes())
    return result


def read_candidates(path: Path) -> FromFile[str]:
    """Read candidates: id -> caption.

    Rows that only report an error (`{"id": ..., "error": ...}`) give no candidate.

    Args:
        path: a file in any form that is listed above, or "-" for standard input.

    Raises:
        DataError: not such a file, no captions in it, or an id with more than one; with file
            and line.
    """
    rows = CaptionRows(path, (*CANDIDATE_NAMES, *CAPTION_NAMES, *REFERENCE_NAMES))
    result: FromFile[str] = FromFile(name_of(path))
    twice: dict[str, None] = {}
    spelled: dict[str, str] = {}
    for row in rows:
        for caption in row.captions:
            id = row.id if row.id.isascii() else spelled.setdefault(same_form(row.id), row.id)
            if id in result:
                twice[id] = None
            result[id] = caption
    if not result:
        raise DataError(f"{result.name}: no captions in this file.")
    if twice:
        raise DataError(
            f"{name_of(path)}: {counted(len(twice), 'id has', 'ids have')} more than one "
            "candidate: "
            f"{few(twice)}. "
            "A picture is scored on one caption: keep one row each. If this is the file of "
            "references, name it first: miacap score REFERENCES CANDIDATES."
        )
    result.notes = tuple(rows.notes())
    return result


def read_frequencies(path: Path) -> DocumentFrequencies:
    """Read document frequencies: those that `--write-df` wrote, or of the captions in a file.

    Args:
        path: a file of frequencies, plain or in gzip, or of references in any form that is listed
            above; those are tokenised and counted.

    Raises:
        DataError: neither.
    """
    if os.path.isfile(path):
        with open_file(path) as file:
            if _COUNTS.search(_unpacked(file.read(_HEAD))) is None:
                references = read_references(path)
                name = os.path.basename(path)
                return DocumentFrequencies.of_captions(references.values(), name)
    return DocumentFrequencies.load(path)


def _unpacked(head: bytes) -> bytes:
    """Give the beginning of a text, in gzip or not; nothing where it is damaged gzip."""
    if not head.startswith(GZIP):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, _HEAD)
    except zlib.error:
        return b""


def opened(
    references: References | Path, candidates: Candidates | Path
) -> tuple[References, Candidates, tuple[str, ...]]:
    """Read those of two sides that are given as paths.

    Returns:
        references, candidates, and what the files' reader should know.

    Raises:
        DataError: a file that cannot be read.
    """
    if isinstance(references, str | os.PathLike):
        references = read_references(_existing(references, "references"))
    if isinstance(candidates, str | os.PathLike):
        candidates = read_candidates(_existing(candidates, "candidates"))
    notes = [
        note
        for side in (references, candidates)
        if isinstance(side, FromFile)
        for note in side.notes
    ]
    return references, candidates, tuple(notes)


def _existing(path: Path, what: str) -> Path:
    if isinstance(path, str) and path != "-" and not os.path.lexists(path):
        raise DataError(
            f"{what}: expected a mapping by id or a list, not str, and there is no file named "
            f"{short(path)}."
        )
    return path


def read_rows(path: Path) -> CaptionRows:
    """Give the rows of a file of captions of any known form.

    Raises:
        DataError: not such a file; the message has file and line. Also while rows are taken.
    """
    return CaptionRows(path, (*CAPTION_NAMES, *CANDIDATE_NAMES, *REFERENCE_NAMES))
