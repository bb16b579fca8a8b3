"""What people call the id of a picture, its file, its captions and its split."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from miacap.errors import DataError
from miacap.reading import short

FILE_NAMES = (
    "file_name", "filename", "file", "image", "image_name", "photo", "picture", "path",
    "filepath", "file_path", "image_path",
)  # fmt: skip
ID_NAMES = ("image_id", "cocoid", "id", *FILE_NAMES, "name")
ADDRESS_NAMES = ("url", "image_url")
CAPTION_NAMES = (
    "captions",
    "caption",
    "text",
    "sentences",
    "sentence",
    "comment",
    "raw",
    "txt",
    "title",
)
CANDIDATE_NAMES = ("candidate", "candidates", "prediction", "predictions", "hypothesis")
REFERENCE_NAMES = ("references", "reference")
SPLIT_NAMES = ("split",)
PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff",
    ".avif", ".heic", ".heif", ".jp2",
)  # fmt: skip

_NUMBERED = re.compile(r"(.+?)[ _-]?\d+")


def text_id(value: object, where: str) -> str:
    """Give an id as text.

    Raises:
        DataError: neither a text nor a whole number.
    """
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, bool) and isinstance(value, Integral):
        return str(int(value))
    raise DataError(f"{where}: an id is a non-empty text or a whole number, not {short(value)}.")


def is_address(name: str) -> bool:
    """Whether a name is an address of the web."""
    return name.lstrip()[:8].lower().startswith(("http://", "https://"))


def same_form(name: str) -> str:
    """Give a name as most systems write it (Unicode NFC), so that é is é however it is written."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def first_value(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Give the value of the first of these names that a row has, or None."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def without_suffix(name: str, suffixes: Sequence[str] = PHOTO_SUFFIXES) -> str:
    """Give a name without the first of these endings that it has; another name as it is."""
    suffix = next((end for end in suffixes if name.lower().endswith(end)), "")
    return name[: len(name) - len(suffix)]


def caption_columns(names: Sequence[str], known: Sequence[str]) -> tuple[int, ...]:
    """Find the columns that hold captions: the first known name, and its numbered ones.

    Args:
        names: of the columns, in lower case.
        known: names of captions, the likeliest first.
    """
    for base in known:
        columns = [
            index for index, name in enumerate(names) if base in (name, _without_number(name))
        ]
        if columns:
            return tuple(columns)
    return ()


def _without_number(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    return match.group(1) if match else name
