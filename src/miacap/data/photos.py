"""Where photos lie: a folder, uncompressed tars, or nowhere. Bytes out; `visual` decodes them."""

import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from miacap.errors import DataError

_SAMPLE = 200


@runtime_checkable
class Photos(Protocol):
    """Photo bytes by picture id."""

    def read(self, id: str) -> bytes:
        """Give the bytes of a photo file. Raises DataError if it is absent."""

    def __contains__(self, id: object) -> bool: ...


def checked_name(name: str, where: str) -> str:
    """Give the file name of a photo with forward slashes, if it stays inside its folder.

    Raises:
        DataError: an absolute name, one that climbs out with "..", or no name at all.
    """
    plain = name.strip().replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or "\0" in plain:
        raise DataError(f"{where}: {name!r} names no photo.")
    if plain.startswith("/") or ".." in parts or (len(plain) > 1 and plain[1] == ":"):
        raise DataError(
            f"{where}: {name!r} leads out of the folder of photos; write names relative to that "
            "folder and say where it is with photos."
        )
    try:
        plain.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{where}: {name!r} is not text that a file can be named by.") from None
    return str(PurePosixPath(plain))


class NoPhotos:
    """No photos at all: for captions whose features are in a store already."""

    def read(self, id: str) -> bytes:
        """Refuse. Raises DataError."""
        raise DataError(f"{id}: this dataset was read without photos; read it with photos=FOLDER.")

    def __contains__(self, id: object) -> bool:
        return False


class FolderPhotos:
    """Photos as files under one folder.

    Args:
        folder: where they are.
        names: file name (relative) by id, where it is not the id itself.
    """

    def __init__(
        self, folder: str | os.PathLike[str], names: Mapping[str, str] | None = None
    ) -> None:
        self.folder = Path(folder)
        self._names = names

    def read(self, id: str) -> bytes:
        """Give the bytes of a photo file. Raises DataError if it is absent."""
        path = self._path(id)
        try:
            if path is not None and _is_file(path):
                return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
        raise DataError(f"{id}: no such photo in {self.folder}.")

    def __contains__(self, id: object) -> bool:
        path = self._path(id) if isinstance(id, str) else None
        return path is not None and _is_file(path)

    def _path(self, id: str) -> Path | None:
        name = id if self._names is None else self._names.get(id)
        if name is None:
            return None
        try:
            return self.folder / checked_name(name, "photos")
        except DataError:
            return None


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no system would take has none."""
    try:
        return path.is_file()
    except OSError:  # too long, or in a folder that may not be looked into
        return False


class TarPhotos:
    """Photos inside uncompressed tars, read where they lie (nothing is unpacked).

    A photo is found by its full name in the tar or, where that is unambiguous, by its last part.

    Args:
        tars: the tar files.
        names: name in the tar by id, where it is not the id itself.

    Raises:
        DataError: a damaged or compressed tar, or one name twice.
    """

    def __init__(
        self, tars: Iterable[str | os.PathLike[str]], names: Mapping[str, str] | None = None
    ) -> None:
        self.tars = tuple(Path(tar) for tar in tars)
        self._names = names
        self._places: dict[str, tuple[Path, int, int]] = {}
        for tar in self.tars:
            self._scan(tar)
        self._short = _unique_last_parts(self._places)

    def read(self, id: str) -> bytes:
        """Give the bytes of a photo file. Raises DataError if it is absent or cut off."""
        place = self._place(id)
        if place is None:
            tars = ", ".join(tar.name for tar in self.tars)
            raise DataError(f"{id}: no such photo in {tars}.")
        tar, offset, size = place
        try:
            with open(tar, "rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise DataError(f"{tar}: cannot be read ({error.strerror or error}).") from None
        if len(data) != size:
            raise DataError(f"{tar}: cut short at {id}; fetch it again.")
        return data

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._place(id) is not None

    def _place(self, id: str) -> tuple[Path, int, int] | None:
        name = id if self._names is None else self._names.get(id, "")
        return self._places.get(name) or self._places.get(self._short.get(name, ""))

    def _scan(self, path: Path) -> None:
        try:
            with tarfile.open(path, "r:") as tar:
                size = path.stat().st_size
                for member in tar:
                    if member.size < 0 or member.offset_data + member.size > size:
                        raise tarfile.ReadError(f"the size of {member.name!r} cannot be")
                    if member.isreg():
                        name = str(PurePosixPath(member.name))
                        if name in self._places:
                            raise DataError(
                                f"{path}: {name} is in {self._places[name][0].name} as well; "
                                "a photo belongs into one tar, once."
                            )
                        self._places[name] = (path, member.offset_data, member.size)
        except tarfile.TarError as error:
            raise DataError(
                f"{path}: not an uncompressed, whole tar ({error}); unpack it if it is compressed, "
                "fetch it again if it is not."
            ) from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


def _unique_last_parts(names: Iterable[str]) -> dict[str, str]:
    full: dict[str, str] = {}
    twice: set[str] = set()
    for name in names:
        last = name.rpartition("/")[2]
        if full.setdefault(last, name) != name:
            twice.add(last)
    return {last: name for last, name in full.items() if last not in twice}


def locate(place: Path, names: Mapping[str, str]) -> Photos:
    """Find photos: a tar, or a folder with tars, files or subfolders of files in it.

    Of all candidates the one that holds most of the photos is taken.

    Args:
        place: a tar or a folder.
        names: file name of the photo by id.

    Raises:
        DataError: the place does not exist.
    """
    own = None if all(id == name for id, name in names.items()) else names
    if place.is_file():
        return TarPhotos([place], own)
    if not place.is_dir():
        raise DataError(f"{place}: there is no such folder of photos.")
    inside = sorted(place.iterdir())
    candidates: list[Photos] = [FolderPhotos(place, own)]
    candidates += [
        FolderPhotos(folder, own)
        for folder in inside
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    tars = [path for path in inside if path.suffix == ".tar" and path.is_file()]
    if tars:
        candidates.insert(0, TarPhotos(tars, own))
    ids = list(names)
    sample = ids[:: max(1, len(ids) // _SAMPLE)]
    return max(candidates, key=lambda photos: sum(id in photos for id in sample))
