"""How much memory photos may take while they are read, all threads together.

    files    40 MiB   bytes of files that were read and are not yet reduced
    decoded 456 MiB   what decoders and their images need, and the network that sees them

A photo that needs more than all of it is refused; one whose file alone is larger than the first
share holds both, and is read alone. Everything else takes less than 0.5 GB (docs/backbones.md),
so that all of `miacap features` and `miacap caption` stays below 1 GB.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

FILES = 40 << 20
DECODED = 456 << 20
NETWORK = 96 << 20
"""Bytes of `decoded` that are held while networks see a batch: what 16 photos took with lite2."""
LARGEST = FILES + DECODED
"""Bytes that a photo may need, its file included."""

# Bytes a pixel that a decoder needs beside the image itself, measured with Pillow 13.
_BESIDE = {"WEBP": 13.0, "JPEG2000": 16.0, "AVIF": 6.0}
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
_BITS, _SAMPLES, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 258, 277, 278, 322, 323  # of TIFF
_CONVERSION = 32  # bytes a pixel of the strip that is converted
_STRIP_PIXELS = 1 << 18  # at most so many are converted at once (`pixels`)


class Share:
    """A number of bytes that threads hold parts of; who asks for more than is left waits."""

    def __init__(self, size: int) -> None:
        self.size = self._left = size
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Hold bytes, at most all of them."""
        amount = min(amount, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= amount)
            self._left -= amount
        try:
            yield
        finally:
            with self._changed:
                self._left += amount
                self._changed.notify_all()


def needed(image: Image.Image, side: int = 224, coefficients: int = 0) -> int:
    """Give how many bytes it takes at most to decode an opened image and to reduce it.

    Args:
        image: opened, its pixels not yet read.
        side: pixels of the square that it is reduced to.
        coefficients: bytes that a JPEG's decoder holds beside it (`jpeg.coefficients`).
    """
    width, height = image.size
    own = _BYTES.get(image.mode, 4)
    if image.format in ("GIF", "ICO"):
        own = 4  # their decoders may change the mode
    decoded = int(width * height * (own + _BESIDE.get(image.format or "", 0.0)))
    rows = side * max(width, height)  # of a channel, between the two passes of the scaling
    strip = _CONVERSION * min(width * height, _STRIP_PIXELS)
    # Plain RGB is scaled at once, anything else channel by channel.
    reducing = max(4 * rows, width * height + rows + strip)
    return decoded + coefficients + _tiff(image) + reducing


def _tiff(image: Image.Image) -> int:
    """Bytes of a TIFF's strip or tile, which its decoder holds whole beside the image."""
    if image.format != "TIFF":
        return 0
    width, height = image.size
    tags = getattr(image, "tag_v2", None) or image.getexif()
    tile = _number(tags.get(_TILE_WIDTH), 0) * _number(tags.get(_TILE_LENGTH), 0)
    rows = min(_number(tags.get(_ROWS_PER_STRIP), height), height)
    samples = _number(tags.get(_SAMPLES), 1) * _number(tags.get(_BITS), 8) // 8
    return max(4, samples) * max(tile, width * max(rows, 1))


def _number(value: Any, default: int) -> int:
    """Read a tag's number, the largest where it has several; `default` where it has none."""
    try:
        return int(max(value) if isinstance(value, tuple) else value)
    except (TypeError, ValueError, OverflowError):
        return default


files = Share(FILES)
decoded = Share(DECODED)
