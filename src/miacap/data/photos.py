"""Where photos lie: a folder, uncompressed tars, or nowhere. Bytes out; `visual` decodes them."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from miacap.data.columns import ParquetPhotos
from miacap.data.splits import SPLIT_FOLDER
from miacap.data.tars import TarPhotos
from miacap.errors import DataError
from miacap.files import sha256
from miacap.reading import LARGEST, open_regular
from miacap.tables.names import same_form, without_suffix

LOST = "no such photo"
"""How the reason starts for which a picture without its photo is set aside."""


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
            "folder and say where it is with --photos FOLDER (photos= in Python)."
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


@dataclass(frozen=True)
class OptionalPhotos:
    """Photos that are looked at where they are there; pictures without one stay in a dataset.

    Attributes:
        places: folders and tars, as `locate` takes them.
    """

    places: tuple[Path, ...]


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
        self._lists = _Lists(self.folder)

    def read(self, id: str) -> bytes:
        """Give the bytes of a photo file. Raises DataError if it is absent or no file."""
        path = self._path(id)
        try:
            if path is not None:
                # What was a file a moment ago may be a pipe by now: nothing is waited for.
                with open_regular(path) as file:
                    size = os.fstat(file.fileno()).st_size
                    if size > LARGEST:
                        raise DataError(f"{path}: holds more than {LARGEST:,} bytes; no photo.")
                    return file.read(size)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
        raise DataError(f"{id}: no such photo in {self.folder}.")

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._path(id) is not None

    def size(self, id: str) -> int:
        """Give the size of a photo's file in bytes, 0 where there is none."""
        path = self._path(id)
        try:
            return 0 if path is None else path.stat().st_size
        except OSError:
            return 0

    def sha256(self, id: str) -> str:
        """Give the SHA-256 of a photo's file. Raises DataError if it is absent or no file."""
        path = self._path(id)
        try:
            if path is not None:
                return sha256(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
        raise DataError(f"{id}: no such photo in {self.folder}.")

    def other_case(self, id: str) -> str:
        """Give the name of a file that differs from the photo's by upper and lower case, or ""."""
        name = self._name(id)
        return "" if name is None else self._lists.find(name, str.casefold)

    def with_suffix(self, id: str) -> str:
        """Give the only file that is called as the photo is, and .jpg or the like, or ""."""
        name = self._name(id)
        if name is None or without_suffix(name) != name:
            return ""
        return self._lists.find(name, without_suffix)

    def _path(self, id: str) -> Path | None:
        """Where a photo lies, whichever Unicode form its name has on disk."""
        name = self._name(id)
        if name is None:
            return None
        if _is_file(self.folder / name):
            return self.folder / name
        actual = "" if name.isascii() else self._lists.find(name, str)
        return self.folder / actual if actual else None

    def _name(self, id: str) -> str | None:
        name = id if self._names is None else self._names.get(id)
        try:
            return None if name is None else checked_name(name, "photos")
        except DataError:
            return None


class _Lists:
    """What lies in a folder and those inside it; each is listed once, when it is first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, list[str]] = {}

    def find(self, name: str, alike: Callable[[str], str]) -> str:
        """Find the only file whose name is `alike` in Unicode NFC, or give ""."""
        parent, _, last = name.rpartition("/")
        wanted = alike(same_form(last))
        names = [other for other in self._list(parent) if alike(same_form(other)) == wanted]
        match = f"{parent}/{names[0]}" if parent and names else "".join(names[:1])
        return match if len(names) == 1 and _is_file(self._root / match) else ""

    def _list(self, parent: str) -> list[str]:
        if parent not in self._names:
            try:
                self._names[parent] = sorted(os.listdir(self._root / parent))
            except OSError:  # no such folder, or one that may not be looked into
                self._names[parent] = []
        return self._names[parent]


def nearly(photos: Photos, id: str) -> str:
    """Say under which other name an absent photo is there, or give ""."""
    if not isinstance(photos, FolderPhotos | TarPhotos | SeveralPhotos):
        return ""
    if name := photos.other_case(id):
        return f" (but {name!r} is there; write the same upper and lower case)"
    if name := photos.with_suffix(id):
        return f"; {name!r} is there: write names with their extension"
    return ""


def size_of(photos: Photos, id: str) -> int:
    """Give the size of a photo in bytes, or about that, 0 where nothing is known beforehand."""
    if isinstance(photos, SeveralPhotos):
        part = next((part for part in photos.parts if id in part), None)
        return 0 if part is None else size_of(part, id)
    return photos.size(id) if isinstance(photos, FolderPhotos | TarPhotos | ParquetPhotos) else 0


def sha256_of(photos: Photos, id: str) -> str:
    """Give the SHA-256 of a photo's bytes, read in pieces where they lie in a folder or a tar.

    Raises:
        DataError: the photo is absent or cannot be read.
    """
    if type(photos) is SeveralPhotos:
        part = next((part for part in photos.parts if id in part), photos.parts[0])
        return sha256_of(part, id)
    # A class derived from these may read otherwise: what it reads is what counts.
    if type(photos) is FolderPhotos or type(photos) is TarPhotos:
        return photos.sha256(id)
    return hashlib.sha256(photos.read(id)).hexdigest()


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no system would take has none."""
    try:
        return path.is_file()
    except OSError:  # too long, or in a folder that may not be looked into
        return False


class SeveralPhotos:
    """Photos in several places; the first that holds one gives it.

    Args:
        parts: the places, as `locate` finds each.
    """

    def __init__(self, parts: Sequence[Photos]) -> None:
        self.parts = tuple(parts)

    def read(self, id: str) -> bytes:
        """Give the bytes of a photo file. Raises DataError if it is in none of the places."""
        for part in self.parts:
            if id in part:
                return part.read(id)
        return self.parts[0].read(id)

    def __contains__(self, id: object) -> bool:
        return any(id in part for part in self.parts)

    def other_case(self, id: str) -> str:
        """Give the name of a photo that differs by upper and lower case, or ""."""
        parts = (part for part in self.parts if isinstance(part, FolderPhotos | TarPhotos))
        return next(filter(None, (part.other_case(id) for part in parts)), "")

    def with_suffix(self, id: str) -> str:
        """Give the photo that is called as this one is, and .jpg or the like, or ""."""
        parts = (part for part in self.parts if isinstance(part, FolderPhotos | TarPhotos))
        return next(filter(None, (part.with_suffix(id) for part in parts)), "")


def locate(places: Sequence[Path], names: Mapping[str, str]) -> Photos:
    """Find photos in places: each a tar, or a folder with tars, files or subfolders in it.

    Of all candidates in one place the one that holds most of the photos is taken.

    Args:
        places: tars or folders.
        names: file name of the photo by id.

    Raises:
        DataError: a place does not exist.
    """
    parts = [_locate(path, names) for path in places]
    return parts[0] if len(parts) == 1 else SeveralPhotos(parts)


def _require_apart(folders: Sequence[Path], names: Mapping[str, str]) -> None:
    """Refuse two pictures of one file name whose photos lie in two folders.

    Raises:
        DataError: there are such; nobody knows whose photo is where.
    """
    owners: dict[str, str] = {}
    for id, name in names.items():
        other = owners.setdefault(name, id)
        if other != id:
            having = [folder for folder in folders if _is_file(folder / name)]
            if len(having) > 1:
                raise DataError(
                    f"{having[0].parent}: pictures {other} and {id} are both called {name!r}, "
                    f"which lies in {having[0].name} and in {having[1].name}; write names with "
                    "their folder."
                )


def _locate(root: Path, names: Mapping[str, str]) -> Photos:
    own = None if all(id == name for id, name in names.items()) else names
    if root.is_file():
        return TarPhotos([root], own)
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder of photos.")
    inside = sorted(root.iterdir())
    candidates: list[Photos] = [FolderPhotos(root, own)]
    candidates += [
        FolderPhotos(folder, own)
        for folder in inside
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    of_splits = [folder for folder in inside if SPLIT_FOLDER.fullmatch(folder.name)]
    if len(of_splits) > 1:  # COCO's train2014 and val2014
        _require_apart(of_splits, names)
        candidates.append(SeveralPhotos([FolderPhotos(folder, own) for folder in of_splits]))
    tars = [path for path in inside if path.suffix == ".tar" and path.is_file()]
    if tars:
        candidates.insert(0, TarPhotos(tars, own))
    return _best(candidates, names)


def _best(candidates: Sequence[Photos], names: Mapping[str, str]) -> Photos:
    """Take the candidate that holds most photos, the first of several.

    Every name is looked up: of COCO's pictures somebody may have a hundred photos, and a sample
    of the names would meet none of them.
    """
    wanted = _by_folder(names)
    best, most = candidates[0], -1
    for photos in candidates:
        held = len(_held(photos, names, wanted))
        if held > most:
            best, most = photos, held
        if most == len(names):
            break
    return best


def _by_folder(names: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    """Sort names by their folder: folder -> last part in Unicode NFC -> ids."""
    wanted: dict[str, dict[str, list[str]]] = {}
    for id, name in names.items():
        parent, _, last = name.rpartition("/")
        wanted.setdefault(parent, {}).setdefault(same_form(last), []).append(id)
    return wanted


def _held(
    photos: Photos, names: Mapping[str, str], wanted: Mapping[str, Mapping[str, list[str]]]
) -> set[str]:
    """Give the ids whose photos are in a place; a folder is listed once, not asked for each."""
    if isinstance(photos, SeveralPhotos):
        return set().union(*(_held(part, names, wanted) for part in photos.parts))
    if not isinstance(photos, FolderPhotos):
        return {id for id in names if id in photos}
    held: set[str] = set()
    for parent, ids in wanted.items():
        # A name that leads out of the folder, or that no system would take, is nobody's photo.
        if ".." in parent.split("/") or parent.startswith("/") or "\0" in parent:
            continue
        for file in _files(photos.folder / parent):
            held.update(ids.get(same_form(file), ()))
    return held


def _files(folder: Path) -> list[str]:
    """Give the names of the files in a folder, none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (OSError, ValueError):
        return []
