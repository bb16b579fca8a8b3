"""Photos read, decoded and prepared in threads, a little ahead of whoever takes them."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from PIL import Image

from miacap.data.photos import Photos, size_of
from miacap.errors import DataError, PictureError
from miacap.reading import open_file as open_regular
from miacap.reading import read_stream
from miacap.visual import memory
from miacap.visual.formats import load_formats
from miacap.visual.photo import NotReadHere, check_size, load, open_file, refusals
from miacap.visual.pixels import Pixels
from miacap.visual.regions import Preparing

_AHEAD_BYTES = 64 << 20

Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | Callable[[], bytes]"
    " | Reader"
)
"""Where a photo is: a path, the bytes of a file, a Pillow image, or what reads the bytes."""


@dataclass(frozen=True)
class Ready:
    """A photo ready for `Regions.regions`, or why it is not.

    Attributes:
        id: of the picture.
        picture: what `Regions.prepare` gave; None where the photo is broken or absent.
        size: width and height of the upright photo, in pixels.
        reason: why there is no picture; begins with the id or the file.
        broken: the photo itself is at fault: another try with the same bytes is of no use.
        to_install: broken, because a package is not installed that would read it.
        note: what is odd about a photo that was read all the same.
    """

    id: str
    picture: Any = None
    size: tuple[int, int] = (0, 0)
    reason: str = ""
    broken: bool = False
    to_install: bool = False
    note: str = ""


@dataclass(frozen=True)
class Reader:
    """What reads the bytes of a photo, and how many they are.

    Attributes:
        read: gives the bytes; raises DataError where it cannot.
        size: how many, 0 where that is not known beforehand.
    """

    read: Callable[[], bytes]
    size: int = 0


def summed(photos: Photos, id: str, sums: dict[str, str]) -> Reader:
    """Read a photo of a dataset, and leave the SHA-256 of its bytes in `sums`."""

    def read() -> bytes:
        data = photos.read(id)
        sums[id] = hashlib.sha256(data).hexdigest()
        return data

    return Reader(read, size_of(photos, id))


def prepared(
    items: Iterable[tuple[str, Source]], regions: Preparing, workers: int | None = None
) -> Iterator[Ready]:
    """Read, decode and prepare photos in threads, a little ahead of whoever takes them.

    What photos take of memory meanwhile is bounded, however many and large they are (`memory`).

    Args:
        items: id and source of each photo; drawn from as needed, so they may be endless.
        regions: what the photos are prepared for.
        workers: threads; None takes as many as there are cores, at most four.

    Yields:
        One `Ready` for each item, in their order.
    """
    each = ((id, source, regions) for id, source in items)
    return prepared_each(each, regions.record.side, workers)


def prepared_each(
    items: Iterable[tuple[str, Source, Preparing]], side: int, workers: int | None = None
) -> Iterator[Ready]:
    """Do as `prepared`, with something of its own that each photo is prepared for.

    Args:
        items: id and source of each photo, and what it is prepared for.
        side: pixels to which the photos are reduced.
        workers: as for `prepared`.

    Yields:
        One `Ready` for each item, in their order.
    """
    load_formats()  # here: with too many open files a thread would find fewer
    count = workers or min(4, os.cpu_count() or 1)
    ahead = count + max(2, min(32, _AHEAD_BYTES // (12 * side * side)))
    pool = ThreadPoolExecutor(count, thread_name_prefix="photos")
    waiting: deque[Future[Ready]] = deque()
    rest = iter(items)
    try:
        while True:
            for item in islice(rest, ahead - len(waiting)):
                waiting.append(pool.submit(_ready, *item))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ready(id: str, source: Source, regions: Preparing) -> Ready:
    try:
        if isinstance(source, Image.Image):
            return _prepare_image(id, source, regions)
        with _room_for_file(id, source) as held:
            return _prepare_file(id, _bytes(id, source), regions, held)
    except PictureError as error:
        to_install = isinstance(error, NotReadHere)
        return Ready(id, reason=str(error), broken=True, to_install=to_install)
    except DataError as error:
        return Ready(id, reason=str(error))
    except (OSError, MemoryError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Ready(id, reason=f"{id}: cannot be read now ({what or 'too little memory'}).")


def _prepare_file(id: str, data: bytes, regions: Preparing, held: int) -> Ready:
    """Decode and prepare a photo; `held` bytes of the decoders' share are this photo's already."""
    side = regions.record.side
    with refusals(id, data):
        opened, need = open_file(data, id, side)
        with memory.decoded.hold(0 if held else need):
            image, note = load(opened, data, side)
            pixels = _pixels(image, regions)
            picture = regions.prepare(pixels)
    return Ready(id, picture, pixels.size, note=note and f"{id}: {note}")


def _prepare_image(id: str, image: Image.Image, regions: Preparing) -> Ready:
    with refusals(id):
        check_size(image, id)
        with memory.decoded.hold(memory.needed(image, regions.record.side)):
            image.load()
            pixels = _pixels(image, regions)
            return Ready(id, regions.prepare(pixels), pixels.size)


def _pixels(image: Image.Image, regions: Preparing) -> Pixels:
    return Pixels(image, regions.record.alpha, regions.record.exif)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of a photo's file; nothing waits, nothing is endless.

    Raises:
        DataError: absent, a folder, a device, a named pipe, or unreadable.
        PictureError: the file is larger than `memory.LARGEST`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        _require_readable(str(path), size)
        # A pipe of the shell has no size.
        return file.read(size) if size else read_stream(file, str(path), memory.LARGEST)


def _require_readable(where: str, size: int) -> None:
    if size > memory.LARGEST:
        raise PictureError(
            f"{where}: the file has {size / 1e6:.0f} MB; at most {memory.LARGEST / 1e6:.0f} are "
            "read. Save it as JPEG or PNG."
        )


@contextmanager
def _room_for_file(id: str, source: Any) -> Iterator[int]:
    """Wait until there is room for a photo's bytes; give the bytes held of the decoders' share.

    Raises PictureError where there never is, DataError where the file is not there.
    """
    size = source.size if isinstance(source, Reader) else 0
    if isinstance(source, str | os.PathLike):
        try:
            size = os.stat(source).st_size
        except FileNotFoundError:
            raise DataError(f"{id}: there is no such photo.") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise DataError(f"{id}: cannot be read ({error}).") from None
    _require_readable(id, size)
    # A file larger than its share takes the other as well, all of it at once: who held a part of
    # a share and then asked for more of it could wait for itself.
    held = memory.DECODED if size > memory.FILES else 0
    with memory.files.hold(size), memory.decoded.hold(held):
        yield held


def _bytes(id: str, source: Any) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, Reader):
        return source.read()
    if callable(source):
        data: bytes = source()
        return data
    return read_file(source)
