"""What all figures share: a canvas, and files of it.

A file is the same whenever it is made of the same numbers: SVG gets no date and no random names.
Words from outside are plain text: no $ begins a formula.
"""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from miacap.errors import MissingExtra, SettingsError
from miacap.explain.page import rendered
from miacap.explain.record import Photograph
from miacap.files import atomic

__all__ = ["FORMS", "Drawn", "canvas", "check_form", "is_drawn", "require", "save", "small_photo"]

FORMS = (".png", ".svg", ".html")
_DPI = 160
_SIDE = 300
_THINNEST = 12
_MAKER = "miacap figure"
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "miacap", "font.family": "DejaVu Sans"}


@dataclass(frozen=True)
class Drawn:
    """A figure with what it says in words and numbers."""

    figure: Any
    """A `matplotlib.figure.Figure`."""
    title: str
    says: str
    """What is drawn, and by which rule; stands below it."""
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    """The numbers of the figure, as a table."""
    notes: Sequence[str] = ()
    """What is left out, and what to do; stands in the figure too."""


def require(suffix: str) -> None:
    """See that what writes a form is installed. Raises MissingExtra."""
    needed = ("matplotlib", "jinja2") if suffix == ".html" else ("matplotlib",)
    if any(find_spec(package) is None for package in needed):
        raise MissingExtra("explain", "Drawing a figure")


def canvas(width: float, height: float) -> Any:
    """Give an empty figure, its sides in inches.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("explain", "Drawing a figure") from None
    return Figure(figsize=(width, height), dpi=_DPI)


def check_form(path: str | os.PathLike[str]) -> str:
    """Give the form that a file's name asks for. Raises SettingsError for any other."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMS:
        raise SettingsError(f"{path}: a figure is written as {', '.join(FORMS)}; choose one.")
    return suffix


def is_drawn(path: str | os.PathLike[str]) -> bool:
    """Say whether a file is a PNG that `save` wrote, and no photo."""
    if not Path(path).is_file():
        return False
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get("Software") == _MAKER
    except (OSError, SyntaxError, ValueError):
        return False


def save(drawn: Drawn, path: str | os.PathLike[str]) -> None:
    """Write a figure, whole or not at all, in the form that the file's name ends with.

    HTML has the figure, what it says, and its numbers as a table; it asks for nothing from outside.

    Raises:
        SettingsError: another ending than .png, .svg or .html.
        MissingExtra: matplotlib or Jinja2 is not installed.
    """
    suffix = check_form(path)
    content = _bytes(drawn.figure, "png" if suffix == ".png" else "svg")
    if suffix == ".html":
        picture = base64.b64encode(content).decode("ascii")
        content = rendered("figure.html", drawn=drawn, picture=picture).encode("utf-8")
    with atomic(path) as file:
        file.write(content)


def _bytes(figure: Any, form: str) -> bytes:
    from matplotlib import rc_context

    file = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": _MAKER}
    with rc_context(_SETTINGS):
        figure.savefig(file, format=form, metadata=metadata, facecolor="white")
    return file.getvalue()


def small_photo(photo: Photograph, grey: bool = False) -> Any:
    """Give a photo's pixels as matplotlib takes them.

    A photo thinner than one part in `_THINNEST` is stretched to that, so that it can be seen.
    """
    with Image.open(io.BytesIO(photo.jpeg)) as image:
        image.thumbnail((_SIDE, _SIDE))
        pixels = image.convert("L").convert("RGB") if grey else image.convert("RGB")
    least = max(pixels.size) // _THINNEST
    if min(pixels.size) < least:
        pixels = pixels.resize((max(pixels.width, least), max(pixels.height, least)))
    return np.asarray(pixels)
