"""Where photos lie: a folder, uncompressed tars, or nowhere. Bytes out; `visual` decodes them."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from miacap.errors import DataError
from miacap.files import sha256
from miacap.reading import LARGEST, open_regular
from miacap.tables.names import PHOTO_SUFFIXES, same_form

LOST = "no such photo"
"""How the reason starts for which a picture without its photo is set aside."""

_SAMPLE = 200
_PIECE = 1 << 20


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
        return "" if name is None or _stem(name) != name else self._lists.find(name, _stem)

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
    """Give the size of a photo's file in bytes, 0 where it is not known before it is read."""
    if isinstance(photos, SeveralPhotos):
        part = next((part for part in photos.parts if id in part), None)
        return 0 if part is None else size_of(part, id)
    return photos.size(id) if isinstance(photos, FolderPhotos | TarPhotos) else 0


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


def _stem(name: str) -> str:
    suffix = next((s for s in PHOTO_SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]


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
        # By full name and by last part in Unicode NFC, each where it is unambiguous.
        self._alike = _unique(self._places, same_form)
        self._short = _unique(self._places, lambda name: same_form(name.rpartition("/")[2]))

    def read(self, id: str) -> bytes:
        """Give the bytes of a photo file. Raises DataError if it is absent or cut off."""
        return b"".join(self._pieces(id, self.size(id)))

    def sha256(self, id: str) -> str:
        """Give the SHA-256 of a photo's file. Raises DataError if it is absent or cut off."""
        checksum = hashlib.sha256()
        for piece in self._pieces(id, _PIECE):
            checksum.update(piece)
        return checksum.hexdigest()

    def _pieces(self, id: str, length: int) -> Iterator[bytes]:
        entry = self._entry(id)
        if entry is None:
            tars = ", ".join(tar.name for tar in self.tars)
            raise DataError(f"{id}: no such photo in {tars}.")
        tar, offset, left = entry
        try:
            with open_regular(tar) as file:
                file.seek(offset)
                while left and (piece := file.read(min(left, length))):
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise DataError(f"{tar}: cannot be read ({error.strerror or error}).") from None
        if left:
            raise DataError(f"{tar}: cut short at {id}; fetch it again.")

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._entry(id) is not None

    def size(self, id: str) -> int:
        """Give the size of a photo's file in bytes, 0 where there is none."""
        entry = self._entry(id)
        return 0 if entry is None else entry[2]

    def other_case(self, id: str) -> str:
        """Give the name of a photo that differs by upper and lower case, or ""."""
        wanted = same_form(self._name(id).rpartition("/")[2]).casefold()
        return next((name for last, name in self._short.items() if last.casefold() == wanted), "")

    def with_suffix(self, id: str) -> str:
        """Give the only photo that is called as this one is, and .jpg or the like, or ""."""
        wanted = same_form(self._name(id).rpartition("/")[2])
        names = [name for last, name in self._short.items() if _stem(last) == wanted]
        return names[0] if len(names) == 1 and _stem(wanted) == wanted else ""

    def _name(self, id: str) -> str:
        return id if self._names is None else self._names.get(id, "")

    def _entry(self, id: str) -> tuple[Path, int, int] | None:
        name = self._name(id)
        if name in self._places:
            return self._places[name]
        alike = same_form(name)
        return self._places.get(self._alike.get(alike) or self._short.get(alike, ""))

    def _scan(self, path: Path) -> None:
        try:
            with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
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
        # Headers without end recurse; sparse fields that are no numbers raise ValueError.
        except (tarfile.TarError, RecursionError, ValueError, OverflowError, EOFError) as error:
            raise DataError(
                f"{path}: not an uncompressed, whole tar ({error}); unpack it if it is compressed, "
                "fetch it again if it is not."
            ) from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


def _unique(names: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    """Give names by a key that no other name has."""
    full: dict[str, str] = {}
    twice: set[str] = set()
    for name in names:
        if full.setdefault(key(name), name) != name:
            twice.add(key(name))
    return {last: name for last, name in full.items() if last not in twice}


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
    tars = [path for path in inside if path.suffix == ".tar" and path.is_file()]
    if tars:
        candidates.insert(0, TarPhotos(tars, own))
    ids = list(names)
    sample = ids[:: max(1, len(ids) // _SAMPLE)]
    return max(candidates, key=lambda photos: sum(id in photos for id in sample))
