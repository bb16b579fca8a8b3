"""A text of captions beside each photo: `dog.txt` for `dog.jpg`, a caption a line."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from miacap.data.dataset import Source
from miacap.data.readers.records import Reading
from miacap.tables.names import PHOTO_SUFFIXES
from miacap.tables.text import numbered_lines, read_text


def any_in(folder: Path) -> bool:
    """Whether a folder, or one inside it, holds a photo with a text of the same name."""
    return next(_pairs(folder), None) is not None


def read(folder: Path) -> Reading:
    """Read the texts beside photos, in a folder and in those inside it.

    A photo without a text is left alone.

    Raises:
        DataError: a text that cannot be read.
    """
    reading = Reading()
    checksum, size = hashlib.sha256(), 0
    for photo, text in _pairs(folder):
        name = photo.relative_to(folder).as_posix()
        content = read_text(text)
        checksum.update(f"{name}\0{content}\0".encode("utf-8", "surrogatepass"))
        size += text.stat().st_size
        where = text.relative_to(folder).as_posix()
        id = reading.mention(name, where)
        for number, line in numbered_lines(content, str(text)):
            reading.caption(id, f"{where}, line {number}", line)
    reading.sources.append(Source("*.txt", checksum.hexdigest(), size))
    return reading


def _pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    inside = [path for path in folder.iterdir() if path.is_dir() and path.name[:1] != "."]
    for place in (folder, *sorted(inside)):
        files = sorted(path for path in place.iterdir() if path.is_file())
        photos = {path.stem: path for path in files if path.suffix.lower() in PHOTO_SUFFIXES}
        for path in files:
            if path.suffix == ".txt" and path.stem in photos:
                yield photos[path.stem], path
