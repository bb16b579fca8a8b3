"""A text of captions beside each photo: `dog.txt` for `dog.jpg`, a caption a line."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from miacap.data.dataset import Source
from miacap.data.readers import img2dataset
from miacap.data.readers.records import Reading
from miacap.tables.names import PHOTO_SUFFIXES
from miacap.tables.text import numbered_lines, read_text


def any_in(folder: Path) -> bool:
    """Whether a folder, or one inside it, holds a photo with a text of the same name."""
    return next(_pairs(folder, Reading()), None) is not None


def read(folder: Path) -> Reading:
    """Read the texts beside photos, in a folder and in those inside it.

    A photo without a text is left alone; of several photos that one text belongs to, all but the
    last by name are set aside.

    Raises:
        DataError: a text that cannot be read.
    """
    reading = Reading()
    checksum, size = hashlib.sha256(), 0
    for photo, text in _pairs(folder, reading):
        name = photo.relative_to(folder).as_posix()
        content = read_text(text)
        checksum.update(f"{name}\0{content}\0".encode("utf-8", "surrogatepass"))
        size += text.stat().st_size
        where = text.relative_to(folder).as_posix()
        id = reading.mention(name, where)
        for number, line in numbered_lines(content, str(text)):
            reading.caption(id, f"{where}, line {number}", line)
    keys = {PurePosixPath(id).stem for id in reading.records}
    for inside in sorted(path for path in folder.iterdir() if path.is_dir()):
        img2dataset.list_failed(inside.with_suffix(".parquet"), keys, reading)
    reading.sources.append(Source("*.txt", checksum.hexdigest(), size))
    return reading


def _pairs(folder: Path, reading: Reading) -> Iterator[tuple[Path, Path]]:
    """Give photos and their texts; photos whose text goes to another are left out of `reading`."""
    inside = [path for path in folder.iterdir() if path.is_dir() and path.name[:1] != "."]
    for parent in (folder, *sorted(inside)):
        files = sorted(path for path in parent.iterdir() if path.is_file())
        photos: dict[str, list[Path]] = {}
        for path in files:
            if path.suffix.lower() in PHOTO_SUFFIXES:
                photos.setdefault(path.stem, []).append(path)
        for path in files:
            if path.suffix == ".txt" and path.stem in photos:
                *others, photo = photos[path.stem]
                for other in others:
                    name = other.relative_to(folder).as_posix()
                    reading.leave_out(
                        name, name, f"its text, {path.name}, goes to {photo.name}; name one anew"
                    )
                yield photo, path
