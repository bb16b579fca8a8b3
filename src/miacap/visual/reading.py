"""Photos read, decoded and prepared in threads, a little ahead of whoever takes them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from miacap.data.features import Detector
from miacap.errors import DataError, PictureError
from miacap.visual.photo import decode, load_formats, upright
from miacap.visual.regions import Regions

Source: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | Callable[[], bytes]
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
        note: what is odd about a photo that was read all the same.
    """

    id: str
    picture: Any = None
    size: tuple[int, int] = (0, 0)
    reason: str = ""
    broken: bool = False
    note: str = ""


def prepared(
    items: Iterable[tuple[str, Source]], regions: Regions, workers: int | None = None
) -> Iterator[Ready]:
    """Read, decode and prepare photos in threads, a little ahead of whoever takes them.

    Args:
        items: id and source of each photo; drawn from as needed, so they may be endless.
        regions: what the photos are prepared for.
        workers: threads; None takes as many as there are cores, at most four.

    Yields:
        One `Ready` for each item, in their order.
    """
    load_formats()  # here: with too many open files a thread would find fewer
    count = workers or min(4, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(count, thread_name_prefix="photos")
    waiting: deque[Future[Ready]] = deque()
    rest = iter(items)
    try:
        while True:
            for id, source in islice(rest, 32 + count - len(waiting)):
                waiting.append(pool.submit(_ready, id, source, regions))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ready(id: str, source: Source, regions: Regions) -> Ready:
    try:
        image = _image(id, source, regions)
    except PictureError as error:
        return Ready(id, reason=str(error), broken=True)
    except DataError as error:
        return Ready(id, reason=str(error))
    except (OSError, MemoryError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Ready(id, reason=f"{id}: cannot be read now ({what or 'too little memory'}).")
    return Ready(id, regions.prepare(image), image.size)


def _image(id: str, source: Source, regions: Regions) -> Image.Image:
    record = regions.record.pooling if isinstance(regions.record, Detector) else regions.record
    if isinstance(source, Image.Image):
        return upright(source, id, record.alpha, record.exif)
    return decode(_bytes(id, source), id, record.alpha, record.exif)


def _bytes(id: str, source: Any) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if callable(source):
        data: bytes = source()
        return data
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{id}: there is no such photo.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError(f"{id}: cannot be read ({error}).") from None
