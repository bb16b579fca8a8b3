"""Photos inside uncompressed tars, read where they lie: nothing is unpacked."""

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from os import PathLike
from pathlib import Path, PurePosixPath

from miacap.errors import DataError
from miacap.reading import open_regular
from miacap.tables.names import same_form, without_suffix

_PIECE = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file in a tar.

    Attributes:
        name: inside the tar, without "./".
        offset: of its first byte in the tar.
        size: in bytes.
    """

    name: str
    offset: int
    size: int


def members(path: Path) -> Iterator[Member]:
    """Give the regular files of a tar, in its order.

    Raises:
        DataError: a damaged or compressed tar, or one that cannot be read.
    """
    for member, _ in members_with_file(path):
        yield member


def members_with_file(path: Path) -> Iterator[tuple[Member, BufferedReader]]:
    """Give the regular files of a tar, each with the open tar to read them from.

    Raises:
        DataError: as `members`.
    """
    with _told(path), open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        size = path.stat().st_size
        for member in tar:
            if member.size < 0 or member.offset_data + member.size > size:
                raise tarfile.ReadError(f"the size of {member.name!r} cannot be")
            if member.isreg():
                name = str(PurePosixPath(member.name))
                yield Member(name, member.offset_data, member.size), file


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with a tar."""
    try:
        yield
    # Headers without end recurse; sparse fields that are no numbers raise ValueError.
    except (tarfile.TarError, RecursionError, ValueError, OverflowError, EOFError) as error:
        raise DataError(
            f"{path}: not an uncompressed, whole tar ({error}); unpack it if it is compressed, "
            "fetch it again if it is not."
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


Place = tuple[Path, int, int]
"""A tar, the offset of a photo in it, and the photo's size, both in bytes."""


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
        self, tars: Iterable[str | PathLike[str]], names: Mapping[str, str] | None = None
    ) -> None:
        places: dict[str, Place] = {}
        files = tuple(Path(tar) for tar in tars)
        for tar in files:
            for member in members(tar):
                if member.name in places:
                    raise DataError(
                        f"{tar}: {member.name} is in {places[member.name][0].name} as well; "
                        "a photo belongs into one tar, once."
                    )
                places[member.name] = (tar, member.offset, member.size)
        self._hold(files, places, names)

    @classmethod
    def at(cls, places: Mapping[str, Place]) -> "TarPhotos":
        """Give photos whose places are known: by id, whatever they are called in their tars."""
        photos = cls.__new__(cls)
        tars = dict.fromkeys(tar for tar, _, _ in places.values())
        photos._hold(tuple(tars), dict(places), None)
        return photos

    def _hold(
        self, tars: tuple[Path, ...], places: dict[str, Place], names: Mapping[str, str] | None
    ) -> None:
        self.tars = tars
        self._names = names
        self._places = places
        # By full name and by last part in Unicode NFC, each where it is unambiguous.
        self._alike = _unique(places, same_form)
        self._short = _unique(places, lambda name: same_form(name.rpartition("/")[2]))

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
        names = [name for last, name in self._short.items() if without_suffix(last) == wanted]
        return names[0] if len(names) == 1 and without_suffix(wanted) == wanted else ""

    def _name(self, id: str) -> str:
        return id if self._names is None else self._names.get(id, "")

    def _entry(self, id: str) -> Place | None:
        name = self._name(id)
        if name in self._places:
            return self._places[name]
        alike = same_form(name)
        return self._places.get(self._alike.get(alike) or self._short.get(alike, ""))


def _unique(names: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    """Give names by a key that no other name has."""
    full: dict[str, str] = {}
    twice: set[str] = set()
    for name in names:
        if full.setdefault(key(name), name) != name:
            twice.add(key(name))
    return {last: name for last, name in full.items() if last not in twice}
